//go:build cgo && linux

// Log lines and messages of the core, kept in a ring until Go takes them.
// A core may log from threads of its own, hence the lock.
#include "bridge.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bridge_text ring[BRIDGE_TEXTS];
static unsigned first, count; // when the ring is full new lines are lost
static uint64_t lost;
static atomic_bool waits;

static bridge_text *slot(void) {
	if (count == BRIDGE_TEXTS) {
		lost++;
		return NULL;
	}
	atomic_store_explicit(&waits, true, memory_order_release);
	return &ring[(first + count++) % BRIDGE_TEXTS];
}

void bridge_say(enum retro_log_level level, bool message, const char *text) {
	if (text == NULL) {
		bridge_suspect();
		return;
	}
	pthread_mutex_lock(&lock);
	bridge_text *to = slot();
	if (to != NULL) {
		size_t size = strnlen(text, BRIDGE_TEXT - 1);
		memcpy(to->text, text, size);
		to->text[size] = 0;
		to->level = (int32_t)level;
		to->message = message;
	}
	pthread_mutex_unlock(&lock);
}

// bridge_log is retro_log_printf_t. The lock is not held while the core's
// arguments are read.
void bridge_log(enum retro_log_level level, const char *format, ...) {
	if (format == NULL) {
		bridge_suspect();
		return;
	}
	if ((int)level < bridge.level)
		return;
	char line[BRIDGE_TEXT];
	va_list args;
	va_start(args, format);
	int size = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (size < 0)
		bridge_suspect();
	else
		bridge_say(level, false, line);
}

bool bridge_take_text(bridge_text *out) {
	pthread_mutex_lock(&lock);
	bool any = count > 0;
	if (any) {
		*out = ring[first];
		first = (first + 1) % BRIDGE_TEXTS;
		count--;
	}
	if (count == 0)
		atomic_store_explicit(&waits, false, memory_order_release);
	pthread_mutex_unlock(&lock);
	return any;
}

bool bridge_text_waits(void) { return atomic_load_explicit(&waits, memory_order_acquire); }

uint64_t bridge_text_lost(void) {
	pthread_mutex_lock(&lock);
	uint64_t n = lost;
	pthread_mutex_unlock(&lock);
	return n;
}

void bridge_text_clear(void) {
	pthread_mutex_lock(&lock);
	first = count = 0;
	lost = 0;
	atomic_store_explicit(&waits, false, memory_order_release);
	pthread_mutex_unlock(&lock);
}
