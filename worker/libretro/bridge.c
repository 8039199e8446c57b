//go:build cgo && linux

// Loading a core and calling into it.
#include "bridge.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <malloc.h>
#include <string.h>

struct bridge bridge;
_Thread_local int bridge_inside;

static atomic_flag busy = ATOMIC_FLAG_INIT;
static char error_text[BRIDGE_TEXT];

// The functions of the core, as in libretro.h; all must be there.
static struct {
	void (*set_environment)(retro_environment_t);
	void (*set_video_refresh)(retro_video_refresh_t);
	void (*set_audio_sample)(retro_audio_sample_t);
	void (*set_audio_sample_batch)(retro_audio_sample_batch_t);
	void (*set_input_poll)(retro_input_poll_t);
	void (*set_input_state)(retro_input_state_t);
	void (*init)(void);
	void (*deinit)(void);
	unsigned (*api_version)(void);
	void (*get_system_info)(struct retro_system_info *);
	void (*get_system_av_info)(struct retro_system_av_info *);
	void (*set_controller_port_device)(unsigned, unsigned);
	void (*reset)(void);
	void (*run)(void);
	size_t (*serialize_size)(void);
	bool (*serialize)(void *, size_t);
	bool (*unserialize)(const void *, size_t);
	void (*cheat_reset)(void);
	void (*cheat_set)(unsigned, bool, const char *);
	bool (*load_game)(const struct retro_game_info *);
	bool (*load_game_special)(unsigned, const struct retro_game_info *, size_t);
	void (*unload_game)(void);
	unsigned (*get_region)(void);
	void *(*get_memory_data)(unsigned);
	size_t (*get_memory_size)(unsigned);
} core;

#define SYMBOL(name) {"retro_" #name, (void **)&core.name}
static const struct {
	const char *name;
	void **to;
} symbols[] = {
	SYMBOL(set_environment), SYMBOL(set_video_refresh), SYMBOL(set_audio_sample),
	SYMBOL(set_audio_sample_batch), SYMBOL(set_input_poll), SYMBOL(set_input_state),
	SYMBOL(init), SYMBOL(deinit), SYMBOL(api_version), SYMBOL(get_system_info),
	SYMBOL(get_system_av_info), SYMBOL(set_controller_port_device), SYMBOL(reset), SYMBOL(run),
	SYMBOL(serialize_size), SYMBOL(serialize), SYMBOL(unserialize), SYMBOL(cheat_reset),
	SYMBOL(cheat_set), SYMBOL(load_game), SYMBOL(load_game_special), SYMBOL(unload_game),
	SYMBOL(get_region), SYMBOL(get_memory_data), SYMBOL(get_memory_size),
};

const char *bridge_error(void) { return error_text; }

static void fail(const char *text) { snprintf(error_text, sizeof error_text, "%s", text ? text : "unknown"); }

static bool ours(void) { return bridge.handle != NULL && bridge.thread == (uint64_t)pthread_self(); }

// begin and end bracket every call into the core. What a call announces
// stays until bridge_run or bridge_load has told it.
static void begin(void) {
	if (bridge.told) {
		bridge.told = false;
		bridge.out.flags = 0;
		bridge.out.audio_frames = 0;
	}
	bridge_inside++;
}

static void end(void) { bridge_inside--; }

static const bridge_output *tell(void) {
	bridge.told = true;
	bridge.out.hostile = atomic_load_explicit(&bridge.hostile, memory_order_relaxed);
	if (bridge_text_waits()) {
		bridge.out.flags |= BRIDGE_TEXT_WAITS;
		bridge.out.lost_text = bridge_text_lost();
	}
	return &bridge.out;
}

static int find_symbols(void) {
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
		if ((*symbols[i].to = dlsym(bridge.handle, symbols[i].name)) == NULL) {
			fail(symbols[i].name);
			return BRIDGE_SYMBOL;
		}
	return BRIDGE_OK;
}

static bool make_buffers(void) {
	// Untouched pages of the picture cost nothing.
	bridge.picture = malloc((size_t)BRIDGE_MAX_SIDE * BRIDGE_MAX_SIDE * 4);
	bridge.audio = malloc((size_t)BRIDGE_AUDIO_FRAMES * 2 * sizeof *bridge.audio);
	bridge.out.picture = bridge.picture;
	bridge.out.audio = bridge.audio;
	return bridge.picture != NULL && bridge.audio != NULL;
}

// clear frees everything but the claim on the process.
static void clear(void) {
	if (bridge.handle != NULL)
		dlclose(bridge.handle);
	free(bridge.picture);
	free(bridge.audio);
	free(bridge.arena);
	bridge_text_clear();
	memset(&bridge, 0, sizeof bridge);
}

static int abandon(int result) {
	clear();
	atomic_flag_clear(&busy);
	return result;
}

static const char *keep_dir(const char *dir) { return *dir ? bridge_keep(dir, 4096) : NULL; }

int bridge_open(const char *path, const char *system_dir, const char *save_dir, const char *options, size_t size, int level) {
	if (atomic_flag_test_and_set(&busy))
		return BRIDGE_BUSY;
	bridge.level = level;
	bridge.path = bridge_keep(path, 4096);
	bridge.system_dir = keep_dir(system_dir);
	bridge.save_dir = keep_dir(save_dir);
	if (!make_buffers() || bridge.path == NULL || !bridge_option_wanted(options, size))
		return abandon(BRIDGE_MEMORY);
	if ((bridge.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		fail(dlerror());
		return abandon(BRIDGE_DLOPEN);
	}
	int result = find_symbols();
	if (result != BRIDGE_OK)
		return abandon(result);
	if (core.api_version() != RETRO_API_VERSION)
		return abandon(BRIDGE_VERSION);
	bridge.thread = (uint64_t)pthread_self();
	begin();
	core.set_environment(bridge_environment);
	core.init();
	core.set_video_refresh(bridge_video_refresh);
	core.set_audio_sample(bridge_audio_sample);
	core.set_audio_sample_batch(bridge_audio_batch);
	core.set_input_poll(bridge_input_poll);
	core.set_input_state(bridge_input_state);
	end();
	return BRIDGE_OK;
}

int bridge_close(void) {
	if (!ours())
		return BRIDGE_THREAD;
	begin();
	if (bridge.loaded)
		core.unload_game();
	core.deinit();
	end();
	return abandon(BRIDGE_OK);
}

void bridge_system_info(struct retro_system_info *info) {
	memset(info, 0, sizeof *info);
	begin();
	core.get_system_info(info);
	end();
}

bool bridge_no_game(void) { return bridge.no_game; }
bool bridge_wants_hw(void) { return bridge.wants_hw; }

// plug tells the first two ports that joypads are in. Further ports keep the
// core's default: plugging pads into them can change the machine (nestopia
// would connect a four-player adapter that many games do not expect).
static void plug(void) {
	unsigned ports = bridge.ports > 0 && bridge.ports < 2 ? bridge.ports : 2;
	for (unsigned port = 0; port < ports; port++)
		core.set_controller_port_device(port, RETRO_DEVICE_JOYPAD);
}

int bridge_load(const char *path, const void *data, size_t size, bool game) {
	if (!ours())
		return BRIDGE_THREAD;
	struct retro_game_info info = {.path = path, .data = data, .size = size};
	struct retro_system_av_info av;
	memset(&av, 0, sizeof av);
	begin();
	bridge.loaded = core.load_game(game ? &info : NULL);
	if (bridge.loaded) {
		plug();
		core.get_system_av_info(&av);
		bridge.out.geometry = av.geometry;
		bridge.out.timing = av.timing;
	}
	end();
	return bridge.loaded ? BRIDGE_OK : BRIDGE_REFUSED;
}

const bridge_output *bridge_loaded(void) {
#ifdef __GLIBC__
	malloc_trim(0); /* loading a game leaves parsed tables and unpacked files behind */
#endif
	return tell();
}

const bridge_output *bridge_run(const bridge_pad *pads) {
	if (!bridge.loaded || !ours())
		return NULL;
	memcpy(bridge.pads, pads, sizeof bridge.pads);
	begin();
	core.run();
	end();
	return tell();
}

int bridge_reset(void) {
	if (!bridge.loaded || !ours())
		return BRIDGE_THREAD;
	begin();
	core.reset();
	end();
	return BRIDGE_OK;
}

int bridge_state_size(size_t *size) {
	if (!bridge.loaded || !ours())
		return BRIDGE_THREAD;
	begin();
	*size = core.serialize_size();
	end();
	return BRIDGE_OK;
}

int bridge_serialize(void *dst, size_t size, size_t *used) {
	int result = bridge_state_size(used);
	if (result != BRIDGE_OK)
		return result;
	if (*used == 0)
		return BRIDGE_REFUSED;
	if (*used > size)
		return BRIDGE_SIZE;
	begin();
	bool ok = core.serialize(dst, *used);
	end();
	return ok ? BRIDGE_OK : BRIDGE_REFUSED;
}

int bridge_unserialize(const void *src, size_t size) {
	if (!bridge.loaded || !ours())
		return BRIDGE_THREAD;
	begin();
	bool ok = core.unserialize(src, size);
	end();
	return ok ? BRIDGE_OK : BRIDGE_REFUSED;
}

int bridge_memory(unsigned id, void **data, size_t *size) {
	if (!bridge.loaded || !ours())
		return BRIDGE_THREAD;
	begin();
	*data = core.get_memory_data(id);
	*size = core.get_memory_size(id);
	end();
	return BRIDGE_OK;
}
