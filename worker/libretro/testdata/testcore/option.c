// The options of the test core, in each way there is.
#include "script.h"

#include <stdlib.h>
#include <string.h>

enum { OPTIONS = 2 };

static const char *const keys[OPTIONS] = {"testcore_tint", "testcore_size"};
static const char *const values[OPTIONS][4] = {{"none", "red", "blue"}, {"8", "16", "32"}};
static const char *const standards[OPTIONS] = {"none", "16"};

static void v0(const struct frontend *f) {
	char tint[] = "Tint of the background; none|red|blue", size[] = "Size; 16|8|32";
	struct retro_variable list[] = {{keys[0], tint}, {keys[1], size}, {NULL, NULL}};
	f->environment(RETRO_ENVIRONMENT_SET_VARIABLES, list);
	memset(tint, '!', sizeof tint - 1);
	memset(size, '!', sizeof size - 1);
}

static void v1(const struct frontend *f, bool intl) {
	struct retro_core_option_definition *list = calloc(OPTIONS + 1, sizeof *list);
	for (int i = 0; i < OPTIONS; i++) {
		list[i].key = strdup(keys[i]);
		list[i].desc = keys[i];
		list[i].default_value = standards[i];
		for (int k = 0; k < 3; k++)
			list[i].values[k].value = values[i][k];
	}
	struct retro_core_options_intl both = {list, NULL};
	if (intl)
		f->environment(RETRO_ENVIRONMENT_SET_CORE_OPTIONS_INTL, &both);
	else
		f->environment(RETRO_ENVIRONMENT_SET_CORE_OPTIONS, list);
	for (int i = 0; i < OPTIONS; i++)
		free((char *)list[i].key);
	memset(list, 0xff, (OPTIONS + 1) * sizeof *list);
	free(list);
}

static void v2(const struct frontend *f, bool intl) {
	struct retro_core_option_v2_definition *list = calloc(OPTIONS + 1, sizeof *list);
	for (int i = 0; i < OPTIONS; i++) {
		list[i].key = strdup(keys[i]);
		list[i].desc = keys[i];
		list[i].default_value = standards[i];
		for (int k = 0; k < 3; k++)
			list[i].values[k].value = values[i][k];
	}
	struct retro_core_options_v2 us = {NULL, list};
	struct retro_core_options_v2_intl both = {&us, NULL};
	if (intl)
		f->environment(RETRO_ENVIRONMENT_SET_CORE_OPTIONS_V2_INTL, &both);
	else
		f->environment(RETRO_ENVIRONMENT_SET_CORE_OPTIONS_V2, &us);
	for (int i = 0; i < OPTIONS; i++)
		free((char *)list[i].key);
	memset(list, 0xff, (OPTIONS + 1) * sizeof *list);
	free(list);
}

void define_options(const struct script *s, const struct frontend *f) {
	unsigned version = 0;
	f->environment(RETRO_ENVIRONMENT_GET_CORE_OPTIONS_VERSION, &version);
	if (s->variable_count > 0)
		f->environment(RETRO_ENVIRONMENT_SET_VARIABLES, (void *)s->variables);
	if (strcmp(s->options, "v0") == 0 || version < 1)
		v0(f);
	else if (strncmp(s->options, "v1", 2) == 0 || version < 2)
		v1(f, strcmp(s->options, "v1intl") == 0);
	else
		v2(f, strcmp(s->options, "v2intl") == 0);
}
