//go:build cgo && linux

// The table of core options. Everything is copied into an arena that lives
// until close: cores free their tables right after the call (mgba), and keep
// the pointers that GET_VARIABLE gave them.
#include "bridge.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA = 2 << 20 };

// bridge_keep copies at most max bytes of text, NULL when there is no room.
const char *bridge_keep(const char *text, size_t max) {
	if (bridge.arena == NULL && (bridge.arena = malloc(ARENA)) == NULL)
		return NULL;
	size_t size = strnlen(text, max);
	if (size >= ARENA - bridge.arena_used)
		return NULL;
	char *to = bridge.arena + bridge.arena_used;
	memcpy(to, text, size);
	to[size] = 0;
	bridge.arena_used += size + 1;
	return to;
}

static bridge_option *find(bridge_option *list, size_t count, const char *key) {
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].key, key) == 0)
			return &list[i];
	return NULL;
}

// bridge_option_wanted takes the configured options, "key\0value\0" pairs.
bool bridge_option_wanted(const char *options, size_t size) {
	const char *at = options, *end = options + size;
	while (at < end) {
		const char *key = at, *value = key + strnlen(key, (size_t)(end - key)) + 1;
		if (value >= end || bridge.wanted_count == BRIDGE_OPTIONS)
			return false;
		at = value + strnlen(value, (size_t)(end - value)) + 1;
		bridge_option *to = &bridge.wanted[bridge.wanted_count];
		to->key = bridge_keep(key, BRIDGE_OPTION_KEY);
		to->value = bridge_keep(value, BRIDGE_OPTION_VALUE);
		if (to->key == NULL || to->value == NULL)
			return false;
		bridge.wanted_count++;
	}
	return true;
}

// offered tells whether value is one of the values joined by |. A core that
// lists none takes anything.
static bool offered(const char *values, const char *value) {
	if (*values == 0)
		return true;
	size_t size = strlen(value);
	for (const char *at = values;;) {
		const char *bar = strchr(at, '|');
		size_t part = bar ? (size_t)(bar - at) : strlen(at);
		if (part == size && memcmp(at, value, size) == 0)
			return true;
		if (bar == NULL)
			return false;
		at = bar + 1;
	}
}

// define puts an option into the table. values are joined by |; standard may
// be NULL: then it is the first value.
static void define(const char *key, const char *standard, const char *values) {
	char name[BRIDGE_OPTION_KEY], first[BRIDGE_OPTION_VALUE];
	size_t size = strnlen(key, sizeof name);
	if (size == 0 || size == sizeof name) {
		bridge_suspect();
		return;
	}
	memcpy(name, key, size + 1);
	if (standard == NULL || !offered(values, standard)) {
		size = strcspn(values, "|");
		if (size >= sizeof first)
			size = sizeof first - 1;
		memcpy(first, values, size);
		first[size] = 0;
		standard = first;
	}
	bridge_option *to = find(bridge.options, bridge.option_count, name);
	const bridge_option *want = find(bridge.wanted, bridge.wanted_count, name);
	const char *value = want != NULL && offered(values, want->value) ? want->value : standard;
	if (to != NULL && strcmp(to->values, values) == 0 && strcmp(to->value, value) == 0)
		return; // the same again; nothing grows
	if (to == NULL && bridge.option_count == BRIDGE_OPTIONS) {
		bridge_suspect();
		return;
	}
	bridge_option made = {
		.key = bridge_keep(name, BRIDGE_OPTION_KEY),
		.value = bridge_keep(value, BRIDGE_OPTION_VALUE),
		.standard = bridge_keep(standard, BRIDGE_OPTION_VALUE),
		.values = bridge_keep(values, BRIDGE_OPTION_VALUES),
	};
	if (made.key == NULL || made.value == NULL || made.standard == NULL || made.values == NULL) {
		bridge_suspect();
		return;
	}
	if (to == NULL)
		to = &bridge.options[bridge.option_count++];
	*to = made;
}

// bridge_option_v0 reads "Description; first|second|third": the first is the default.
void bridge_option_v0(const struct retro_variable *list) {
	for (size_t i = 0; i < BRIDGE_OPTIONS && list[i].key != NULL; i++) {
		if (list[i].value == NULL) {
			bridge_suspect();
			continue;
		}
		static char text[BRIDGE_OPTION_VALUES];
		size_t size = strnlen(list[i].value, sizeof text - 1);
		memcpy(text, list[i].value, size);
		text[size] = 0;
		char *values = strchr(text, ';');
		values = values ? values + 1 : text;
		define(list[i].key, NULL, values + strspn(values, " "));
	}
}

// join makes "a|b|c" of a NULL terminated array of values.
static const char *join(const struct retro_core_option_value *values) {
	static char text[BRIDGE_OPTION_VALUES];
	size_t used = 0;
	for (size_t i = 0; i < RETRO_NUM_CORE_OPTION_VALUES_MAX && values[i].value != NULL; i++) {
		size_t size = strnlen(values[i].value, BRIDGE_OPTION_VALUE);
		if (size == BRIDGE_OPTION_VALUE || used + size + 2 > sizeof text) {
			bridge_suspect();
			break;
		}
		if (i > 0)
			text[used++] = '|';
		memcpy(text + used, values[i].value, size);
		used += size;
	}
	text[used] = 0;
	return text;
}

void bridge_option_v1(const struct retro_core_option_definition *list) {
	for (size_t i = 0; i < BRIDGE_OPTIONS && list[i].key != NULL; i++)
		define(list[i].key, list[i].default_value, join(list[i].values));
}

void bridge_option_v2(const struct retro_core_options_v2 *options) {
	const struct retro_core_option_v2_definition *list = options->definitions;
	for (size_t i = 0; list != NULL && i < BRIDGE_OPTIONS && list[i].key != NULL; i++)
		define(list[i].key, list[i].default_value, join(list[i].values));
}

// bridge_option_get answers GET_VARIABLE. A configured key that the core never
// defined is answered too: some cores define less than they read.
bool bridge_option_get(struct retro_variable *variable) {
	const bridge_option *found = NULL;
	if (variable->key != NULL) {
		found = find(bridge.options, bridge.option_count, variable->key);
		if (found == NULL)
			found = find(bridge.wanted, bridge.wanted_count, variable->key);
	}
	variable->value = found ? found->value : NULL;
	return found != NULL;
}

size_t bridge_option_count(void) { return bridge.option_count; }

void bridge_option_at(size_t i, const char **key, const char **value, const char **standard, const char **values) {
	*key = bridge.options[i].key;
	*value = bridge.options[i].value;
	*standard = bridge.options[i].standard;
	*values = bridge.options[i].values;
}
