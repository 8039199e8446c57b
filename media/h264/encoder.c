//go:build cgo && linux

#include "encoder.h"

int cr_encode(cr_encoder *e, const uint8_t *y, const uint8_t *u, const uint8_t *v,
	int stride_y, int stride_u, int stride_v, int key, cr_output *out)
{
	const cr_picture pic = {{y, u, v}, {stride_y, stride_u, stride_v}};
	return e->encode(e, &pic, key, out);
}

int cr_set_max_bitrate(cr_encoder *e, int bps, int vbv_bits) { return e->set_max_bitrate(e, bps, vbv_bits); }

void cr_close(cr_encoder *e) { e->close(e); }

const char *cr_error(int result)
{
	switch (result) {
	case CR_UNAVAILABLE: return "library not available";
	case CR_REFUSED: return "the library refused the settings";
	case CR_FAILED: return "the library failed";
	case CR_DELAYED: return "the library held the picture back";
	case CR_TOO_LARGE: return "the access unit is larger than any sane one";
	}
	return "unknown error";
}
