// A libretro core for tests. It has a small real state (a frame counter and two
// squares that the pads move), paints it, beeps, and does what its game file,
// a script, tells it: see script.c.
//
// The picture, so that a test can read it back (package libretrotest):
//   rows 0-7    the frame counter, 32 cells of width/32, highest bit left, white = 1
//   rows 8-15   the buttons of port 0, 16 cells of width/16, highest bit left
//   below       a background in the tint of the option testcore_tint, a white
//               square for port 0 and a yellow one for port 1
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct frontend frontend;
static struct script script;
static uint8_t *pixels;
static size_t pixels_size;
static uint32_t tint;
static int side;
static uint8_t save_ram[32];

// The state: what serialize writes.
static struct state {
	char magic[8];
	uint32_t frame;
	struct {
		int32_t x, y;
	} square[2];
	uint32_t phase; // of the tone
} state;

static const struct state fresh = {"tstcore1", 0, {{32, 48}, {96, 48}}, 0};

unsigned retro_api_version(void) { return RETRO_API_VERSION; }
void retro_init(void) {}
void retro_deinit(void) { free(pixels), pixels = NULL; }
void retro_set_video_refresh(retro_video_refresh_t f) { frontend.video = f; }
void retro_set_audio_sample(retro_audio_sample_t f) { frontend.sample = f; }
void retro_set_audio_sample_batch(retro_audio_sample_batch_t f) { frontend.batch = f; }
void retro_set_input_poll(retro_input_poll_t f) { frontend.poll = f; }
void retro_set_input_state(retro_input_state_t f) { frontend.input = f; }
void retro_set_controller_port_device(unsigned port, unsigned device) { (void)port, (void)device; }
void retro_cheat_reset(void) {}
void retro_cheat_set(unsigned i, bool on, const char *code) { (void)i, (void)on, (void)code; }
unsigned retro_get_region(void) { return RETRO_REGION_NTSC; }
void retro_unload_game(void) {}

bool retro_load_game_special(unsigned type, const struct retro_game_info *info, size_t count) {
	(void)type, (void)info, (void)count;
	return false;
}

void retro_set_environment(retro_environment_t f) {
	frontend.environment = f;
	bool yes = true;
	f(RETRO_ENVIRONMENT_SET_SUPPORT_NO_GAME, &yes);
}

void retro_get_system_info(struct retro_system_info *info) {
	*info = (struct retro_system_info){"Test core", "1.0", "testcore|TXT", false, false};
}

void retro_get_system_av_info(struct retro_system_av_info *info) {
	*info = (struct retro_system_av_info){
		{script.width, script.height, script.max_width, script.max_height, script.aspect},
		{script.fps, script.rate},
	};
}

static const char *option(const char *key) {
	struct retro_variable variable = {key, NULL};
	frontend.environment(RETRO_ENVIRONMENT_GET_VARIABLE, &variable);
	return variable.value ? variable.value : "";
}

static bool alloc_pixels(void) {
	size_t row = (size_t)script.width * 4 + script.pitch;
	if (script.width > 4096 || script.height > 4096 || script.pitch > 1 << 20)
		return true; // only announced, see paint
	free(pixels);
	pixels_size = row * script.height;
	return (pixels = calloc(pixels_size, 1)) != NULL;
}

bool retro_load_game(const struct retro_game_info *info) {
	static const char standard[] = "testcore\n";
	const char *text = info ? info->data : standard;
	struct retro_log_callback log = {0};
	if (frontend.environment(RETRO_ENVIRONMENT_GET_LOG_INTERFACE, &log))
		frontend.log = log.log;
	if (!script_read(&script, text, info ? info->size : sizeof standard - 1) || script.fail) {
		if (frontend.log)
			frontend.log(RETRO_LOG_ERROR, "this is no script of the test core\n");
		return false;
	}
	if (script.hostile >> HW_RENDER & 1) {
		struct retro_hw_render_callback hw = {.context_type = RETRO_HW_CONTEXT_OPENGL};
		return frontend.environment(RETRO_ENVIRONMENT_SET_HW_RENDER, &hw);
	}
	define_options(&script, &frontend);
	const char *name = option("testcore_tint");
	tint = strcmp(name, "red") == 0 ? 0x800000 : strcmp(name, "blue") == 0 ? 0x000080 : 0x204020;
	side = atoi(option("testcore_size"));
	frontend.environment(RETRO_ENVIRONMENT_SET_PIXEL_FORMAT, &script.format);
	if (script.rotation)
		frontend.environment(RETRO_ENVIRONMENT_SET_ROTATION, &script.rotation);
	if (frontend.log)
		frontend.log(RETRO_LOG_INFO, "tint=%s size=%d path=%s\n", name, side, info && info->path ? info->path : "");
	state = fresh;
	return alloc_pixels();
}

void retro_reset(void) { state = fresh; }

// ---- Painting ----

static void put(unsigned x, unsigned y, unsigned width, unsigned height, uint32_t rgb) {
	unsigned bytes = script.format == RETRO_PIXEL_FORMAT_XRGB8888 ? 4 : 2;
	size_t pitch = (size_t)script.width * bytes + script.pitch;
	uint16_t value = script.format == RETRO_PIXEL_FORMAT_RGB565
		? (uint16_t)(rgb >> 8 & 0xf800) | (rgb >> 5 & 0x07e0) | (rgb >> 3 & 0x001f)
		: (uint16_t)(rgb >> 9 & 0x7c00) | (rgb >> 6 & 0x03e0) | (rgb >> 3 & 0x001f);
	for (unsigned row = y; row < y + height && row < script.height; row++)
		for (unsigned col = x; col < x + width && col < script.width; col++)
			if (bytes == 4)
				memcpy(pixels + row * pitch + col * 4, &rgb, 4);
			else
				memcpy(pixels + row * pitch + col * 2, &value, 2);
}

static void cells(unsigned y, uint32_t bits, unsigned count) {
	unsigned width = script.width / count;
	for (unsigned i = 0; i < count; i++)
		put(i * width, y, width, 8, bits >> (count - 1 - i) & 1 ? 0xffffff : 0);
}

static void paint(uint16_t buttons) {
	put(0, 0, script.width, script.height, tint);
	cells(0, state.frame, 32);
	cells(8, buttons, 16);
	put((unsigned)state.square[1].x, (unsigned)state.square[1].y, (unsigned)side, (unsigned)side, 0xffff00);
	put((unsigned)state.square[0].x, (unsigned)state.square[0].y, (unsigned)side, (unsigned)side, 0xffffff);
}

static void show(uint16_t buttons) {
	if (script.width > 4096 || script.height > 4096)
		return;
	if (!script.still || state.frame == 1)
		paint(buttons);
	bool dupe = script.dupe_every && state.frame % script.dupe_every == 0;
	unsigned bytes = script.format == RETRO_PIXEL_FORMAT_XRGB8888 ? 4 : 2;
	frontend.video(dupe ? NULL : pixels, script.width, script.height, (size_t)script.width * bytes + script.pitch);
}

// ---- Sound ----

static void beep(bool loud) {
	static int16_t samples[2 * 65536];
	double each = script.rate / script.fps;
	size_t count = (size_t)((state.frame + 1) * each) - (size_t)(state.frame * each);
	if (count > 65536 || script.audio == AUDIO_NONE)
		return;
	unsigned period = (unsigned)(script.rate / 440) + 1;
	for (size_t i = 0; i < count; i++, state.phase++) {
		int16_t level = (state.phase % period < period / 2 ? 1 : -1) * (loud ? 8000 : 1000);
		samples[2 * i] = samples[2 * i + 1] = level;
		if (script.audio == AUDIO_PER_SAMPLE)
			frontend.sample(level, level);
	}
	if (script.audio == AUDIO_BATCH)
		frontend.batch(samples, count);
}

// ---- Running ----

static void announce(const struct event *e) {
	struct retro_system_av_info av;
	if (strcmp(e->what, "geometry") == 0 && sscanf(e->with, "%ux%u", &script.width, &script.height) == 2) {
		retro_get_system_av_info(&av);
		frontend.environment(RETRO_ENVIRONMENT_SET_GEOMETRY, &av.geometry);
		alloc_pixels();
	} else if (strcmp(e->what, "timing") == 0 && sscanf(e->with, "%lf:%lf", &script.fps, &script.rate) == 2) {
		retro_get_system_av_info(&av);
		frontend.environment(RETRO_ENVIRONMENT_SET_SYSTEM_AV_INFO, &av);
	} else if (strcmp(e->what, "format") == 0) {
		script.format = script_format(e->with);
		frontend.environment(RETRO_ENVIRONMENT_SET_PIXEL_FORMAT, &script.format);
	} else if (strcmp(e->what, "rotate") == 0) {
		unsigned turns = (unsigned)atoi(e->with);
		frontend.environment(RETRO_ENVIRONMENT_SET_ROTATION, &turns);
	}
}

static void happen(const struct event *e) {
	struct retro_message message = {e->with, 60};
	struct retro_message_ext ext = {.msg = e->with, .duration = 1000, .level = RETRO_LOG_INFO, .target = RETRO_MESSAGE_TARGET_ALL};
	if (strcmp(e->what, "message") == 0)
		frontend.environment(RETRO_ENVIRONMENT_SET_MESSAGE, &message);
	else if (strcmp(e->what, "message_ext") == 0)
		frontend.environment(RETRO_ENVIRONMENT_SET_MESSAGE_EXT, &ext);
	else if (strcmp(e->what, "log") == 0 && frontend.log)
		frontend.log(RETRO_LOG_WARN, "%s\n", e->with);
	else if (strcmp(e->what, "try") == 0)
		try_out(e->with, &frontend);
	else if (strcmp(e->what, "shutdown") == 0)
		frontend.environment(RETRO_ENVIRONMENT_SHUTDOWN, NULL);
	else
		announce(e);
	fault(&script, e->what);
}

static uint16_t pad(unsigned port) {
	if (frontend.environment(RETRO_ENVIRONMENT_GET_INPUT_BITMASKS, NULL))
		return (uint16_t)frontend.input(port, RETRO_DEVICE_JOYPAD, 0, RETRO_DEVICE_ID_JOYPAD_MASK);
	uint16_t buttons = 0;
	for (unsigned id = 0; id < 16; id++)
		buttons |= (uint16_t)(frontend.input(port, RETRO_DEVICE_JOYPAD, 0, id) != 0) << id;
	return buttons;
}

static int32_t limit(int32_t v, unsigned end) {
	int32_t most = (int32_t)end - side;
	return v < 16 ? 16 : v > most ? most : v;
}

static void move(unsigned port, uint16_t b) {
	int32_t *x = &state.square[port].x, *y = &state.square[port].y;
	*x += 2 * ((b >> RETRO_DEVICE_ID_JOYPAD_RIGHT & 1) - (b >> RETRO_DEVICE_ID_JOYPAD_LEFT & 1));
	*y += 2 * ((b >> RETRO_DEVICE_ID_JOYPAD_DOWN & 1) - (b >> RETRO_DEVICE_ID_JOYPAD_UP & 1));
	*x += frontend.input(port, RETRO_DEVICE_ANALOG, RETRO_DEVICE_INDEX_ANALOG_LEFT, RETRO_DEVICE_ID_ANALOG_X) / 8192;
	*y += frontend.input(port, RETRO_DEVICE_ANALOG, RETRO_DEVICE_INDEX_ANALOG_LEFT, RETRO_DEVICE_ID_ANALOG_Y) / 8192;
	*x = limit(*x, script.width);
	*y = limit(*y, script.height);
}

static void input_faults(uint16_t b) {
	if (!script.input_faults || !(b >> RETRO_DEVICE_ID_JOYPAD_SELECT & 1))
		return;
	if (b >> RETRO_DEVICE_ID_JOYPAD_L2 & 1)
		fault(&script, "crash");
	if (b >> RETRO_DEVICE_ID_JOYPAD_R2 & 1)
		fault(&script, "hang");
	if (b >> RETRO_DEVICE_ID_JOYPAD_L3 & 1)
		fault(&script, "exit");
}

void retro_run(void) {
	bool update = false;
	frontend.environment(RETRO_ENVIRONMENT_GET_VARIABLE_UPDATE, &update);
	frontend.poll();
	uint16_t buttons = pad(0);
	input_faults(buttons);
	state.frame++;
	for (size_t i = 0; i < script.event_count; i++)
		if (script.events[i].frame == state.frame)
			happen(&script.events[i]);
	move(0, buttons);
	move(1, pad(1));
	if (script.slow_ms)
		nanosleep(&(struct timespec){script.slow_ms / 1000, script.slow_ms % 1000 * 1000000L}, NULL);
	show(buttons);
	beep(buttons >> RETRO_DEVICE_ID_JOYPAD_A & 1);
	hostile_run(&script, &frontend);
	if (script.refresh[0])
		hostile_refresh(script.refresh, &frontend);
}

// ---- State and memory ----

size_t retro_serialize_size(void) {
	if (script.hostile >> HUGE_STATE & 1)
		return (size_t)1 << 40;
	return script.state_size > sizeof state ? script.state_size : sizeof state;
}

bool retro_serialize(void *data, size_t size) {
	if (size < retro_serialize_size())
		return false;
	memset(data, 0, size);
	memcpy(data, &state, sizeof state);
	return true;
}

bool retro_unserialize(const void *data, size_t size) {
	if (size < sizeof state || memcmp(data, fresh.magic, sizeof fresh.magic) != 0)
		return false;
	memcpy(&state, data, sizeof state);
	return true;
}

void *retro_get_memory_data(unsigned id) { return id == RETRO_MEMORY_SAVE_RAM ? save_ram : NULL; }

size_t retro_get_memory_size(unsigned id) {
	if (script.hostile >> HUGE_MEMORY & 1)
		return (size_t)1 << 40;
	return id == RETRO_MEMORY_SAVE_RAM ? sizeof save_ram : 0;
}
