//go:build cgo && linux

// RETRO_ENVIRONMENT_*: what the core asks for and announces.
#include "bridge.h"

#include <time.h>

static int64_t now(clockid_t clock, int64_t unit) {
	struct timespec t;
	clock_gettime(clock, &t);
	return (t.tv_sec * INT64_C(1000000000) + t.tv_nsec) / unit;
}

// The performance interface counts time and nothing else: some cores crash
// without it, none needs more.
static retro_time_t perf_usec(void) { return now(CLOCK_MONOTONIC, 1000); }
static retro_perf_tick_t perf_counter(void) { return (retro_perf_tick_t)now(CLOCK_MONOTONIC, 1); }
static uint64_t perf_cpu(void) { return 0; }
static void perf_log(void) {}
static void perf_each(struct retro_perf_counter *counter) { (void)counter; }

static bool rumble(unsigned port, enum retro_rumble_effect effect, uint16_t strength) {
	(void)effect, (void)strength;
	if (!bridge_inside || port >= BRIDGE_PORTS)
		return false;
	bridge.out.rumble++;
	return true;
}

static bool set_format(uint32_t format) {
	if (format > RETRO_PIXEL_FORMAT_RGB565) {
		bridge_suspect();
		return false;
	}
	bridge.format = format;
	return true;
}

static bool set_rotation(uint32_t turns) {
	if (turns > 3) {
		bridge_suspect();
		return false;
	}
	bridge.out.rotation = turns;
	bridge.out.flags |= BRIDGE_ROTATION;
	return true;
}

// The numbers are judged by Go after the call: nothing uses them before.
static bool set_av(const struct retro_system_av_info *info) {
	bridge.out.geometry = info->geometry;
	bridge.out.timing = info->timing;
	bridge.out.flags |= BRIDGE_GEOMETRY | BRIDGE_TIMING;
	return true;
}

static bool set_geometry(const struct retro_game_geometry *geometry) {
	bridge.out.geometry = *geometry;
	bridge.out.flags |= BRIDGE_GEOMETRY;
	return true;
}

static bool set_controllers(const struct retro_controller_info *list) {
	bridge.ports = 0;
	while (bridge.ports < BRIDGE_PORTS && list[bridge.ports].types != NULL)
		bridge.ports++;
	return true;
}

static bool set_message_ext(const struct retro_message_ext *message) {
	bridge_say(message->level, message->target != RETRO_MESSAGE_TARGET_LOG, message->msg);
	return true;
}

static bool set_quirks(uint64_t *quirks) {
	// The size is asked for before every state, so it may vary.
	*quirks = (*quirks & 0x7f) | RETRO_SERIALIZATION_QUIRK_FRONT_VARIABLE_SIZE;
	return true;
}

static bool get_perf(struct retro_perf_callback *to) {
	*to = (struct retro_perf_callback){perf_usec, perf_cpu, perf_counter, perf_each, perf_each, perf_each, perf_log};
	return true;
}

// give answers with a path; false if there is none.
static bool give(const char **to, const char *path) {
	*to = path;
	return path != NULL;
}

// without handles the commands that mean something without data.
static bool without(unsigned cmd, bool *known) {
	*known = true;
	switch (cmd) {
	case RETRO_ENVIRONMENT_SHUTDOWN:
		bridge.out.flags |= BRIDGE_SHUTDOWN;
		return true;
	case RETRO_ENVIRONMENT_GET_INPUT_BITMASKS: // "bool *" that nobody sets: the result counts
	case RETRO_ENVIRONMENT_SET_VARIABLES:
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_DISPLAY:
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_UPDATE_DISPLAY_CALLBACK:
	case RETRO_ENVIRONMENT_SET_INPUT_DESCRIPTORS:
	case RETRO_ENVIRONMENT_SET_CONTROLLER_INFO:
	case RETRO_ENVIRONMENT_SET_MEMORY_MAPS:
		return true;
	}
	*known = false;
	return false;
}

static bool get(unsigned cmd, void *data, bool *known) {
	*known = true;
	switch (cmd) {
	case RETRO_ENVIRONMENT_GET_VARIABLE_UPDATE:
	case RETRO_ENVIRONMENT_GET_FASTFORWARDING:
	case RETRO_ENVIRONMENT_GET_OVERSCAN:
		*(bool *)data = false;
		return true;
	case RETRO_ENVIRONMENT_GET_CAN_DUPE:
	case RETRO_ENVIRONMENT_GET_INPUT_BITMASKS:
		*(bool *)data = true;
		return true;
	case RETRO_ENVIRONMENT_GET_AUDIO_VIDEO_ENABLE:
		*(int *)data = 3; // video and audio
		return true;
	case RETRO_ENVIRONMENT_GET_SAVESTATE_CONTEXT:
		*(int *)data = RETRO_SAVESTATE_CONTEXT_NORMAL;
		return true;
	case RETRO_ENVIRONMENT_GET_VARIABLE:
		return bridge_option_get(data);
	case RETRO_ENVIRONMENT_GET_LIBRETRO_PATH:
		return give(data, bridge.path);
	case RETRO_ENVIRONMENT_GET_SYSTEM_DIRECTORY:
	case RETRO_ENVIRONMENT_GET_CORE_ASSETS_DIRECTORY:
		return give(data, bridge.system_dir);
	case RETRO_ENVIRONMENT_GET_SAVE_DIRECTORY:
		return give(data, bridge.save_dir);
	case RETRO_ENVIRONMENT_GET_LOG_INTERFACE:
		((struct retro_log_callback *)data)->log = bridge_log;
		return true;
	case RETRO_ENVIRONMENT_GET_PERF_INTERFACE:
		return get_perf(data);
	case RETRO_ENVIRONMENT_GET_RUMBLE_INTERFACE:
		((struct retro_rumble_interface *)data)->set_rumble_state = rumble;
		return true;
	case RETRO_ENVIRONMENT_GET_INPUT_DEVICE_CAPABILITIES:
		*(uint64_t *)data = 1 << RETRO_DEVICE_JOYPAD | 1 << RETRO_DEVICE_ANALOG;
		return true;
	case RETRO_ENVIRONMENT_GET_INPUT_MAX_USERS:
		*(unsigned *)data = BRIDGE_PORTS;
		return true;
	case RETRO_ENVIRONMENT_GET_LANGUAGE:
		*(unsigned *)data = RETRO_LANGUAGE_ENGLISH;
		return true;
	case RETRO_ENVIRONMENT_GET_CORE_OPTIONS_VERSION:
		*(unsigned *)data = 2;
		return true;
	case RETRO_ENVIRONMENT_GET_MESSAGE_INTERFACE_VERSION:
		*(unsigned *)data = 1;
		return true;
	}
	*known = false;
	return false;
}

static bool set_options(unsigned cmd, const void *data) {
	switch (cmd) {
	case RETRO_ENVIRONMENT_SET_VARIABLES:
		bridge_option_v0(data);
		return true;
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS:
		bridge_option_v1(data);
		return true;
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_INTL:
		if (((const struct retro_core_options_intl *)data)->us != NULL)
			bridge_option_v1(((const struct retro_core_options_intl *)data)->us);
		return true;
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_V2:
		bridge_option_v2(data);
		return false; // "no categories": the options are taken all the same
	default: // RETRO_ENVIRONMENT_SET_CORE_OPTIONS_V2_INTL
		if (((const struct retro_core_options_v2_intl *)data)->us != NULL)
			bridge_option_v2(((const struct retro_core_options_v2_intl *)data)->us);
		return false;
	}
}

static bool set(unsigned cmd, void *data, bool *known) {
	*known = true;
	switch (cmd) {
	case RETRO_ENVIRONMENT_SET_ROTATION:
		return set_rotation(*(const unsigned *)data);
	case RETRO_ENVIRONMENT_SET_PIXEL_FORMAT:
		return set_format(*(const uint32_t *)data);
	case RETRO_ENVIRONMENT_SET_SYSTEM_AV_INFO:
		return set_av(data);
	case RETRO_ENVIRONMENT_SET_GEOMETRY:
		return set_geometry(data);
	case RETRO_ENVIRONMENT_SET_MESSAGE:
		bridge_say(RETRO_LOG_INFO, true, ((const struct retro_message *)data)->msg);
		return true;
	case RETRO_ENVIRONMENT_SET_MESSAGE_EXT:
		return set_message_ext(data);
	case RETRO_ENVIRONMENT_SET_VARIABLES:
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS:
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_INTL:
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_V2:
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_V2_INTL:
		return set_options(cmd, data);
	case RETRO_ENVIRONMENT_SET_SUPPORT_NO_GAME:
		bridge.no_game = *(const bool *)data;
		return true;
	case RETRO_ENVIRONMENT_SET_CONTROLLER_INFO:
		return set_controllers(data);
	case RETRO_ENVIRONMENT_SET_SERIALIZATION_QUIRKS:
		return set_quirks(data);
	case RETRO_ENVIRONMENT_SET_HW_RENDER:
		bridge.wants_hw = true;
		return false;
	case RETRO_ENVIRONMENT_SET_PERFORMANCE_LEVEL: // heard, and of no use here
	case RETRO_ENVIRONMENT_SET_INPUT_DESCRIPTORS:
	case RETRO_ENVIRONMENT_SET_MEMORY_MAPS:
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_DISPLAY:
	case RETRO_ENVIRONMENT_SET_CORE_OPTIONS_UPDATE_DISPLAY_CALLBACK:
	case RETRO_ENVIRONMENT_SET_SUPPORT_ACHIEVEMENTS:
		return true;
	}
	*known = false;
	return false;
}

// refuse logs an unknown command the first time it comes.
static bool refuse(unsigned cmd) {
	unsigned bit = cmd & 0xff;
	if (!(bridge.refused[bit / 32] >> bit % 32 & 1)) {
		bridge.refused[bit / 32] |= UINT32_C(1) << bit % 32;
		bridge_log(RETRO_LOG_DEBUG, "environment command %u%s is not supported", cmd & 0xffff,
		           cmd & RETRO_ENVIRONMENT_EXPERIMENTAL ? " (experimental)" : "");
	}
	return false;
}

// bridge_environment is retro_environment_t. Only the thread that is in a call
// into the core is answered.
bool bridge_environment(unsigned cmd, void *data) {
	if (!bridge_inside) {
		bridge_suspect();
		return false;
	}
	bool known = false, result;
	if (data == NULL) {
		result = without(cmd, &known);
		if (!known)
			bridge_suspect();
		return result;
	}
	if (cmd == RETRO_ENVIRONMENT_SHUTDOWN)
		return without(cmd, &known);
	if ((result = get(cmd, data, &known)) || known)
		return result;
	if ((result = set(cmd, data, &known)) || known)
		return result;
	return refuse(cmd);
}
