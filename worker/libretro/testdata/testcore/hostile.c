// What a frontend must survive, and what nobody does.
#define _GNU_SOURCE
#include "script.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool may(const struct script *s) {
	if (s->once[0] == 0)
		return true;
	int marker = open(s->once, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (marker < 0)
		return false;
	close(marker);
	return true;
}

void fault(const struct script *s, const char *what) {
	bool crash = strcmp(what, "crash") == 0, hang = strcmp(what, "hang") == 0;
	bool leave = strcmp(what, "exit") == 0, stop = strcmp(what, "abort") == 0;
	if (!(crash || hang || leave || stop) || !may(s))
		return;
	volatile int *volatile nowhere = NULL;
	if (crash)
		*nowhere = 1; // SIGSEGV
	while (hang)
		usleep(10000);
	if (leave)
		_exit(3);
	abort();
}

static bool has(const struct script *s, enum hostile what) { return s->hostile >> what & 1; }

static void pictures(const struct script *s, const struct frontend *f) {
	static uint32_t pixels[64 * 64];
	if (has(s, HW_FRAME))
		f->video(RETRO_HW_FRAME_BUFFER_VALID, 64, 64, 256);
	if (has(s, ZERO_SIZE)) {
		f->video(pixels, 0, 64, 256);
		f->video(pixels, 64, 0, 256);
	}
	if (has(s, HUGE_SIZE)) {
		f->video(pixels, 0xffffffff, 0xffffffff, (size_t)-1);
		f->video(pixels, 2049, 1, 2049 * 4);
		f->video(pixels, 1, 2049, 4);
	}
	if (has(s, SMALL_PITCH))
		f->video(pixels, 64, 64, 1);
	if (has(s, HUGE_PITCH))
		f->video(pixels, 64, 64, (size_t)1 << 40);
}

static void sounds(const struct script *s, const struct frontend *f) {
	static int16_t samples[2 * 1000000];
	if (has(s, NULL_BATCH))
		f->batch(NULL, 100);
	if (has(s, HUGE_BATCH))
		f->batch(samples, 1000000);
	for (int i = 0; has(s, MANY_SAMPLES) && i < 100000; i++)
		f->sample(1, 2);
}

static void numbers(const struct script *s, const struct frontend *f) {
	unsigned bad = 77;
	if (has(s, BAD_FORMAT))
		f->environment(RETRO_ENVIRONMENT_SET_PIXEL_FORMAT, &bad);
	if (has(s, BAD_ROTATION))
		f->environment(RETRO_ENVIRONMENT_SET_ROTATION, &bad);
	struct retro_system_av_info av = {{160, 144, 160, 144, 0}, {NAN, 48000}};
	if (has(s, BAD_TIMING))
		f->environment(RETRO_ENVIRONMENT_SET_SYSTEM_AV_INFO, &av);
	av.geometry.base_width = 1000000;
	if (has(s, BAD_GEOMETRY))
		f->environment(RETRO_ENVIRONMENT_SET_GEOMETRY, &av.geometry);
	struct retro_hw_render_callback hw = {.context_type = RETRO_HW_CONTEXT_OPENGL};
	if (has(s, HW_RENDER))
		f->environment(RETRO_ENVIRONMENT_SET_HW_RENDER, &hw);
	struct retro_rumble_interface rumble = {0};
	if (has(s, RUMBLE) && f->environment(RETRO_ENVIRONMENT_GET_RUMBLE_INTERFACE, &rumble)) {
		rumble.set_rumble_state(0, RETRO_RUMBLE_STRONG, 0xffff);
		rumble.set_rumble_state(99, RETRO_RUMBLE_STRONG, 0xffff);
	}
	if (has(s, BAD_INPUT)) {
		f->input(99, RETRO_DEVICE_JOYPAD, 0, 0);
		f->input(0, RETRO_DEVICE_JOYPAD, 0, 77);
		f->input(0, RETRO_DEVICE_ANALOG, 77, 77);
		f->input(0, RETRO_DEVICE_MOUSE, 0, 0);
	}
}

static void texts(const struct script *s, const struct frontend *f) {
	static char endless[1 << 20];
	struct retro_message message = {"flood", 60};
	for (int i = 0; has(s, MESSAGE_FLOOD) && i < 1000; i++)
		f->environment(RETRO_ENVIRONMENT_SET_MESSAGE, &message);
	for (int i = 0; has(s, LOG_FLOOD) && f->log && i < 1000; i++)
		f->log(RETRO_LOG_INFO, "flood %d\n", i);
	if (has(s, LONG_TEXT)) {
		memset(endless, 0xff, sizeof endless); // no end, no UTF-8
		message.msg = endless;
		f->environment(RETRO_ENVIRONMENT_SET_MESSAGE, &message);
	}
	if (has(s, NULL_TEXT)) {
		message.msg = NULL;
		f->environment(RETRO_ENVIRONMENT_SET_MESSAGE, &message);
		if (f->log)
			f->log(RETRO_LOG_INFO, NULL);
		struct retro_variable variable = {NULL, NULL};
		f->environment(RETRO_ENVIRONMENT_GET_VARIABLE, &variable);
	}
}

static void commands(const struct script *s, const struct frontend *f) {
	static char buffer[4096];
	for (unsigned cmd = 0; has(s, NULL_ENV) && cmd < 100; cmd++)
		if (cmd != RETRO_ENVIRONMENT_SHUTDOWN) {
			f->environment(cmd, NULL);
			f->environment(cmd | RETRO_ENVIRONMENT_EXPERIMENTAL, NULL);
		}
	for (unsigned cmd = 4096; has(s, UNKNOWN_ENV) && cmd < 4400; cmd++)
		f->environment(cmd, buffer);
	for (unsigned i = 0; has(s, OPTION_FLOOD) && i < 3000; i++) {
		static unsigned count;
		char key[200], value[64];
		snprintf(key, sizeof key, "flood_%u%s", count, i % 100 == 0 ? "" : "_");
		if (i % 500 == 0)
			memset(key, 'k', sizeof key - 1), key[sizeof key - 1] = 0;
		snprintf(value, sizeof value, "flood; %u|b", count++);
		struct retro_variable list[] = {{key, value}, {"known", i % 2 ? "x; 1|2" : "x; 2|1"}, {"none", NULL}, {NULL, NULL}};
		f->environment(RETRO_ENVIRONMENT_SET_VARIABLES, list);
	}
}

// stranger calls back from a thread that the frontend never called.
static void *stranger(void *data) {
	const struct frontend *f = data;
	static uint32_t pixels[64 * 64];
	bool flag = true;
	f->video(pixels, 64, 64, 256);
	f->sample(1, 1);
	f->batch((int16_t *)pixels, 64);
	f->poll();
	f->input(0, RETRO_DEVICE_JOYPAD, 0, 0);
	f->environment(RETRO_ENVIRONMENT_SET_SUPPORT_NO_GAME, &flag);
	if (f->log)
		f->log(RETRO_LOG_INFO, "from a thread of my own\n");
	return NULL;
}

void hostile_run(const struct script *s, const struct frontend *f) {
	if (s->hostile == 0)
		return;
	pictures(s, f);
	sounds(s, f);
	numbers(s, f);
	texts(s, f);
	commands(s, f);
	pthread_t thread;
	if (has(s, THREAD) && pthread_create(&thread, NULL, stranger, (void *)f) == 0)
		pthread_join(thread, NULL);
}

// hostile_refresh sends a picture with any numbers; its memory ends with the
// last pixel. Byte i is i * 7.
void hostile_refresh(const char *with, const struct frontend *f) {
	unsigned width = 0, height = 0, format = 0;
	size_t pitch = 0;
	sscanf(with, "%u:%u:%zu:%u", &width, &height, &pitch, &format);
	if (!f->environment(RETRO_ENVIRONMENT_SET_PIXEL_FORMAT, &format))
		format = RETRO_PIXEL_FORMAT_XRGB8888; // the script's own stays
	size_t room = (size_t)1 << 29, row = (size_t)width * (format == RETRO_PIXEL_FORMAT_XRGB8888 ? 4 : 2), used = 0;
	if (height > 0 && (__builtin_mul_overflow(pitch, height - 1, &used) || __builtin_add_overflow(used, row, &used) || used > room))
		used = room;
	uint8_t *memory = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		abort();
	mprotect(memory + room, 4096, PROT_NONE);
	uint8_t *data = memory + room - used;
	for (size_t i = 0; i < used && used <= 1 << 22; i++)
		data[i] = (uint8_t)(i * 7);
	f->video(data, width, height, pitch);
	munmap(memory, room + 4096);
}
