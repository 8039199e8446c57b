//go:build cgo && linux

// Pictures, sound and input: the callbacks of every frame.
#include "bridge.h"

#include <string.h>

// bridge_video_refresh copies the picture, since a core owns its pixels only
// until this returns, and tightens the rows on the way (cores announce
// pitches of up to eight times the visible row).
void bridge_video_refresh(const void *data, unsigned width, unsigned height, size_t pitch) {
	if (!bridge_inside) {
		bridge_suspect();
		return;
	}
	if (data == NULL) // RETRO_ENVIRONMENT_GET_CAN_DUPE: the last one again
		return;
	size_t pixel = bridge.format == RETRO_PIXEL_FORMAT_XRGB8888 ? 4 : 2;
	if (data == RETRO_HW_FRAME_BUFFER_VALID || width < 1 || height < 1 ||
	    width > BRIDGE_MAX_SIDE || height > BRIDGE_MAX_SIDE ||
	    pitch < width * pixel || pitch > BRIDGE_MAX_PITCH) {
		bridge_suspect();
		return;
	}
	size_t row = width * pixel;
	if (pitch == row) {
		memcpy(bridge.picture, data, row * height);
	} else {
		const uint8_t *from = data;
		uint8_t *to = bridge.picture;
		for (unsigned y = 0; y < height; y++, from += pitch, to += row)
			memcpy(to, from, row);
	}
	bridge.out.flags |= BRIDGE_PICTURE;
	bridge.out.width = width;
	bridge.out.height = height;
	bridge.out.stride = (uint32_t)row;
	bridge.out.format = bridge.format;
}

// bridge_audio_batch takes what fits; the rest is dropped and counted. It
// always says that all was taken: some cores repeat the call until it does.
size_t bridge_audio_batch(const int16_t *data, size_t frames) {
	if (!bridge_inside || data == NULL) {
		bridge_suspect();
		return frames;
	}
	size_t room = BRIDGE_AUDIO_FRAMES - bridge.out.audio_frames;
	size_t take = frames < room ? frames : room;
	memcpy(bridge.audio + 2 * bridge.out.audio_frames, data, take * 2 * sizeof *data);
	bridge.out.audio_frames += take;
	bridge.out.dropped += frames - take;
	return frames;
}

void bridge_audio_sample(int16_t left, int16_t right) {
	if (!bridge_inside) {
		bridge_suspect();
		return;
	}
	if (bridge.out.audio_frames >= BRIDGE_AUDIO_FRAMES) {
		bridge.out.dropped++;
		return;
	}
	int16_t *to = bridge.audio + 2 * bridge.out.audio_frames++;
	to[0] = left;
	to[1] = right;
}

// The pads do not change during a run: bridge_run took them at its start.
void bridge_input_poll(void) {}

static int16_t analog(const bridge_pad *pad, unsigned index, unsigned id) {
	if (index == RETRO_DEVICE_INDEX_ANALOG_BUTTON)
		return id < 16 && (pad->buttons >> id & 1) ? 0x7fff : 0;
	if (index > RETRO_DEVICE_INDEX_ANALOG_RIGHT || id > RETRO_DEVICE_ID_ANALOG_Y)
		return 0;
	return pad->axes[2 * index + id];
}

int16_t bridge_input_state(unsigned port, unsigned device, unsigned index, unsigned id) {
	if (port >= BRIDGE_PORTS || !bridge_inside)
		return 0;
	const bridge_pad *pad = &bridge.pads[port];
	switch (device & RETRO_DEVICE_MASK) {
	case RETRO_DEVICE_JOYPAD:
		if (id == RETRO_DEVICE_ID_JOYPAD_MASK)
			return (int16_t)pad->buttons;
		return id < 16 ? pad->buttons >> id & 1 : 0;
	case RETRO_DEVICE_ANALOG:
		return analog(pad, index, id);
	}
	return 0;
}
