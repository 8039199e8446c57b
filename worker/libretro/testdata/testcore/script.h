// The game file of the test core: its first line is "testcore", the others are
// key=value. script.c says what each key does.
#ifndef TESTCORE_SCRIPT_H
#define TESTCORE_SCRIPT_H

#include <libretro-common/libretro.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_EVENTS = 256, MAX_VARIABLES = 64 };

// Things done again at every run, bits of script.hostile.
enum hostile {
	HW_FRAME, ZERO_SIZE, HUGE_SIZE, SMALL_PITCH, HUGE_PITCH, NULL_BATCH, HUGE_BATCH, MANY_SAMPLES,
	BAD_FORMAT, BAD_ROTATION, BAD_TIMING, BAD_GEOMETRY, HW_RENDER, THREAD, LOG_FLOOD, MESSAGE_FLOOD,
	LONG_TEXT, NULL_TEXT, NULL_ENV, UNKNOWN_ENV, BAD_INPUT, RUMBLE, HUGE_MEMORY, HUGE_STATE,
	OPTION_FLOOD, HOSTILES
};

enum audio { AUDIO_BATCH, AUDIO_PER_SAMPLE, AUDIO_NONE };

struct event {
	uint32_t frame;
	char what[24];
	char with[256];
};

struct script {
	double fps, rate;
	unsigned width, height, max_width, max_height, rotation, format, pitch, slow_ms, dupe_every, state_size;
	float aspect;
	enum audio audio;
	uint32_t hostile;
	bool fail, input_faults, still;
	char options[16], once[256], refresh[64];
	struct event events[MAX_EVENTS];
	size_t event_count;
	char keys[MAX_VARIABLES][64], values[MAX_VARIABLES][1024];
	struct retro_variable variables[MAX_VARIABLES + 1];
	size_t variable_count;
};

// script_read fills s from text; false if it is no script.
bool script_read(struct script *s, const char *text, size_t size);
unsigned script_format(const char *name);

// The callbacks of the frontend.
struct frontend {
	retro_environment_t environment;
	retro_video_refresh_t video;
	retro_audio_sample_t sample;
	retro_audio_sample_batch_t batch;
	retro_input_poll_t poll;
	retro_input_state_t input;
	retro_log_printf_t log;
};

// hostile.c
void fault(const struct script *s, const char *what);
void hostile_run(const struct script *s, const struct frontend *f);
void hostile_refresh(const char *with, const struct frontend *f);
// attempt.c
void try_out(const char *with, const struct frontend *f);
// option.c: defines testcore_tint and testcore_size in the given way
// ("v0", "v1", "v1intl", "v2", "v2intl") and frees the table again.
void define_options(const struct script *s, const struct frontend *f);

#endif
