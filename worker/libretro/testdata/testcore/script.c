// Keys of a script:
//   fps=59.7275 rate=32768 size=240x160 max=320x240 aspect=1.5 rotation=1
//   format=0rgb1555|xrgb8888|rgb565  pitch=extra bytes of a row
//   audio=batch|per-sample|none  slow_ms=how long a run sleeps  dupe_every=n: each nth picture is NULL
//   state_size=bytes a state is padded to  options=v0|v1|v1intl|v2|v2intl  variable=key:text of SET_VARIABLES
//   fail=1: the game is refused  still=1: only the first picture is painted, and sent for ever
//   input_faults=1: SELECT with L2 crashes, with R2 hangs, with L3 exits
//   refresh=width:height:pitch:format: an extra picture with just these numbers
//   hostile=name,name: see the table below
// Keys that end in _at do something at one frame, "frame" or "frame:argument":
//   crash_at hang_at exit_at abort_at shutdown_at
//   geometry_at=60:320x240  timing_at=60:50.007:44100  format_at=60:rgb565  rotate_at=60:2
//   message_at=60:text  message_ext_at=60:text  log_at=60:text
//   try_at=60:socket: what a sandbox forbids, see attempt.c
//   crash_once=path: crash, hang, exit and abort happen only while path does not exist, and create it
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const hostiles[HOSTILES] = {
	"hw_frame", "zero_size", "huge_size", "small_pitch", "huge_pitch", "null_batch", "huge_batch", "many_samples",
	"bad_format", "bad_rotation", "bad_timing", "bad_geometry", "hw_render", "thread", "log_flood", "message_flood",
	"long_text", "null_text", "null_env", "unknown_env", "bad_input", "rumble", "huge_memory", "huge_state",
	"option_flood",
};

unsigned script_format(const char *name) {
	if (strcmp(name, "xrgb8888") == 0)
		return RETRO_PIXEL_FORMAT_XRGB8888;
	if (strcmp(name, "rgb565") == 0)
		return RETRO_PIXEL_FORMAT_RGB565;
	return RETRO_PIXEL_FORMAT_0RGB1555;
}

static void read_hostile(struct script *s, char *names) {
	char *save = NULL;
	for (char *name = strtok_r(names, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save))
		for (int i = 0; i < HOSTILES; i++)
			if (strcmp(name, hostiles[i]) == 0)
				s->hostile |= UINT32_C(1) << i;
}

static void read_event(struct script *s, const char *key, const char *value) {
	if (s->event_count == MAX_EVENTS)
		return;
	struct event *e = &s->events[s->event_count++];
	snprintf(e->what, sizeof e->what, "%.*s", (int)(strlen(key) - strlen("_at")), key);
	e->frame = (uint32_t)strtoul(value, NULL, 10);
	const char *with = strchr(value, ':');
	snprintf(e->with, sizeof e->with, "%s", with ? with + 1 : "");
}

static void read_variable(struct script *s, const char *value) {
	const char *colon = strchr(value, ':');
	if (colon == NULL || s->variable_count == MAX_VARIABLES)
		return;
	size_t i = s->variable_count++;
	snprintf(s->keys[i], sizeof s->keys[i], "%.*s", (int)(colon - value), value);
	snprintf(s->values[i], sizeof s->values[i], "%s", colon + 1);
	s->variables[i] = (struct retro_variable){s->keys[i], s->values[i]};
}

static bool read_number(struct script *s, const char *key, const char *value) {
	const struct {
		const char *key;
		unsigned *to;
	} numbers[] = {
		{"rotation", &s->rotation}, {"pitch", &s->pitch}, {"slow_ms", &s->slow_ms},
		{"dupe_every", &s->dupe_every}, {"state_size", &s->state_size},
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (strcmp(key, numbers[i].key) == 0) {
			*numbers[i].to = (unsigned)strtoul(value, NULL, 10);
			return true;
		}
	if (strcmp(key, "fps") == 0)
		s->fps = strtod(value, NULL); // "nan" and "inf" too
	else if (strcmp(key, "rate") == 0)
		s->rate = strtod(value, NULL);
	else if (strcmp(key, "aspect") == 0)
		s->aspect = strtof(value, NULL);
	else if (strcmp(key, "size") == 0)
		sscanf(value, "%ux%u", &s->width, &s->height);
	else if (strcmp(key, "max") == 0)
		sscanf(value, "%ux%u", &s->max_width, &s->max_height);
	else
		return false;
	return true;
}

static void read_word(struct script *s, const char *key, char *value) {
	if (strcmp(key, "format") == 0)
		s->format = script_format(value);
	else if (strcmp(key, "audio") == 0)
		s->audio = strcmp(value, "none") == 0 ? AUDIO_NONE : strcmp(value, "per-sample") == 0 ? AUDIO_PER_SAMPLE : AUDIO_BATCH;
	else if (strcmp(key, "hostile") == 0)
		read_hostile(s, value);
	else if (strcmp(key, "options") == 0)
		snprintf(s->options, sizeof s->options, "%s", value);
	else if (strcmp(key, "crash_once") == 0)
		snprintf(s->once, sizeof s->once, "%s", value);
	else if (strcmp(key, "refresh") == 0)
		snprintf(s->refresh, sizeof s->refresh, "%s", value);
	else if (strcmp(key, "fail") == 0)
		s->fail = true;
	else if (strcmp(key, "still") == 0)
		s->still = true;
	else if (strcmp(key, "input_faults") == 0)
		s->input_faults = true;
	else if (strcmp(key, "variable") == 0)
		read_variable(s, value);
	else if (strlen(key) > 3 && strcmp(key + strlen(key) - 3, "_at") == 0)
		read_event(s, key, value);
}

bool script_read(struct script *s, const char *text, size_t size) {
	*s = (struct script){
		.fps = 60, .rate = 48000, .width = 160, .height = 144, .format = RETRO_PIXEL_FORMAT_XRGB8888, .options = "v2",
	};
	char *copy = strndup(text, size), *save = NULL;
	char *line = strtok_r(copy, "\r\n", &save);
	bool ours = line != NULL && strcmp(line, "testcore") == 0;
	while (ours && (line = strtok_r(NULL, "\r\n", &save)) != NULL) {
		char *value = strchr(line, '=');
		if (value == NULL)
			continue;
		*value++ = 0;
		if (!read_number(s, line, value))
			read_word(s, line, value);
	}
	free(copy);
	return ours;
}
