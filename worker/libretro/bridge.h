// The C side of package libretro: libretro's callbacks carry no user pointer,
// so one static state serves the one core of this process. Nothing here ever
// calls Go: a core may be deep inside a coroutine's stack (bsnes and its
// relatives use libco) when it calls back, where Go must not run.
#ifndef CLOUDRETRO_LIBRETRO_BRIDGE_H
#define CLOUDRETRO_LIBRETRO_BRIDGE_H

#if __has_include(<libretro-common/libretro.h>)
#include <libretro-common/libretro.h>
#else
#error "libretro.h is missing: apt-get install retroarch-dev (or build with CGO_ENABLED=0, without the worker role)"
#endif
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BRIDGE_HIDDEN __attribute__((visibility("hidden")))

enum {
	BRIDGE_PORTS = 8,
	BRIDGE_MAX_SIDE = 2048,           // media.MaxWidth, media.MaxHeight
	BRIDGE_MAX_PITCH = 16 * 2048 * 4, // as media.Picture.Check
	BRIDGE_AUDIO_FRAMES = 65536,      // of one retro_run: 1/10 s of 384 kHz fits well
	BRIDGE_TEXT = 512,                // bytes of a log line or message, cut beyond
	BRIDGE_TEXTS = 64,                // log lines and messages between two drains
	BRIDGE_OPTIONS = 1024,
	BRIDGE_OPTION_KEY = 128,
	BRIDGE_OPTION_VALUE = 512,
	BRIDGE_OPTION_VALUES = 16384,
};

// Results of the calls below; 0 is success.
enum bridge_result {
	BRIDGE_OK = 0,
	BRIDGE_BUSY,    // a core is open already
	BRIDGE_DLOPEN,  // bridge_error() tells
	BRIDGE_SYMBOL,  // bridge_error() is the missing symbol
	BRIDGE_VERSION, // another libretro API version
	BRIDGE_MEMORY,  // out of memory
	BRIDGE_THREAD,  // not the thread of bridge_open
	BRIDGE_REFUSED, // the core said no
	BRIDGE_SIZE,    // a buffer does not fit
};

// What happened in a run, bits of bridge_output.flags.
enum {
	BRIDGE_PICTURE = 1,   // a new picture
	BRIDGE_GEOMETRY = 2,  // output.geometry is new
	BRIDGE_TIMING = 4,    // output.timing is new, and geometry
	BRIDGE_ROTATION = 8,  // output.rotation is new
	BRIDGE_SHUTDOWN = 16, // the core wants to end
	BRIDGE_TEXT_WAITS = 32,
};

typedef struct {
	uint16_t buttons; // bit n = RETRO_DEVICE_ID_JOYPAD_n
	int16_t axes[4];  // left x, y, right x, y
} bridge_pad;

// What calls into the core left behind since the last bridge_run or
// bridge_load. It is valid until the next call.
typedef struct {
	uint32_t flags;
	uint32_t rotation; // quarter turns counter-clockwise, 0..3
	uint32_t width, height, stride, format;
	const uint8_t *picture;
	const int16_t *audio;
	size_t audio_frames;
	uint64_t dropped, hostile, rumble, lost_text; // totals since bridge_open
	struct retro_game_geometry geometry;
	struct retro_system_timing timing;
} bridge_output;

typedef struct {
	int32_t level;    // enum retro_log_level
	int32_t message;  // 0 = a log line, 1 = a message for players
	char text[BRIDGE_TEXT];
} bridge_text;

// Lifecycle. options is "key\0value\0key\0value\0", size bytes. Log lines below
// the level (enum retro_log_level) are not even formatted.
int bridge_open(const char *path, const char *system_dir, const char *save_dir, const char *options, size_t size, int level);
int bridge_close(void);
const char *bridge_error(void);
void bridge_system_info(struct retro_system_info *info);
bool bridge_no_game(void);    // SET_SUPPORT_NO_GAME said true
bool bridge_wants_hw(void);   // SET_HW_RENDER was asked for and refused
int bridge_load(const char *path, const void *data, size_t size, bool game);

// The game. All of them only from the thread of bridge_open.
const bridge_output *bridge_run(const bridge_pad *pads); // NULL: wrong thread
const bridge_output *bridge_loaded(void);                // what bridge_load left behind
int bridge_reset(void);
int bridge_state_size(size_t *size);
int bridge_serialize(void *dst, size_t size, size_t *used);
int bridge_unserialize(const void *src, size_t size);
int bridge_memory(unsigned id, void **data, size_t *size);

// What waits to be told. bridge_take_text is false when nothing is left.
bool bridge_take_text(bridge_text *out);

// The option table.
size_t bridge_option_count(void);
void bridge_option_at(size_t i, const char **key, const char **value, const char **standard, const char **values);

// ---- Shared by the .c files only ----

typedef struct {
	const char *key, *value, *standard, *values; // values joined by |
} bridge_option;

// The one core of this process.
struct bridge {
	void *handle;
	uint64_t thread; // pthread_self of bridge_open
	bool loaded, no_game, wants_hw;
	int level;      // of log lines that are wanted
	unsigned ports; // of SET_CONTROLLER_INFO, 0 = not told
	const char *path, *system_dir, *save_dir;

	bridge_output out;
	bool told;       // Go has read out: the next call starts afresh
	uint32_t format; // enum retro_pixel_format
	uint8_t *picture;
	int16_t *audio;
	bridge_pad pads[BRIDGE_PORTS];
	atomic_ullong hostile;

	char *arena; // strings that live until close
	size_t arena_used;
	bridge_option wanted[BRIDGE_OPTIONS], options[BRIDGE_OPTIONS];
	size_t wanted_count, option_count;
	uint32_t refused[8]; // environment commands told once
};

extern BRIDGE_HIDDEN struct bridge bridge;
extern BRIDGE_HIDDEN _Thread_local int bridge_inside; // this thread is in a call into the core

// stream.c
BRIDGE_HIDDEN void bridge_video_refresh(const void *data, unsigned width, unsigned height, size_t pitch);
BRIDGE_HIDDEN void bridge_audio_sample(int16_t left, int16_t right);
BRIDGE_HIDDEN size_t bridge_audio_batch(const int16_t *data, size_t frames);
BRIDGE_HIDDEN void bridge_input_poll(void);
BRIDGE_HIDDEN int16_t bridge_input_state(unsigned port, unsigned device, unsigned index, unsigned id);
// environment.c
BRIDGE_HIDDEN bool bridge_environment(unsigned cmd, void *data);
// text.c
BRIDGE_HIDDEN void bridge_log(enum retro_log_level level, const char *format, ...);
BRIDGE_HIDDEN void bridge_say(enum retro_log_level level, bool message, const char *text);
BRIDGE_HIDDEN void bridge_text_clear(void);
BRIDGE_HIDDEN uint64_t bridge_text_lost(void);
BRIDGE_HIDDEN bool bridge_text_waits(void);
// option.c
BRIDGE_HIDDEN bool bridge_option_wanted(const char *options, size_t size);
BRIDGE_HIDDEN bool bridge_option_get(struct retro_variable *variable);
BRIDGE_HIDDEN void bridge_option_v0(const struct retro_variable *list);
BRIDGE_HIDDEN void bridge_option_v1(const struct retro_core_option_definition *list);
BRIDGE_HIDDEN void bridge_option_v2(const struct retro_core_options_v2 *options);
BRIDGE_HIDDEN const char *bridge_keep(const char *text, size_t max);

static inline void bridge_suspect(void) {
	atomic_fetch_add_explicit(&bridge.hostile, 1, memory_order_relaxed);
}

#endif
