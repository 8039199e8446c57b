//go:build cgo

#ifndef CR_YUV_CONVERT_H
#define CR_YUV_CONVERT_H

#include <stdint.h>

// Converts a picture of libretro's format into I420 planes of out_width x
// out_height pixels, of which width*scale x height*scale are the picture and the
// rest repeats its edge. band is scratch memory of bandSize(width) bytes. The
// caller has checked every number.
void cr_convert(int format, int width, int height, const uint8_t *src, int stride, int scale, uint8_t *band,
	uint8_t *y, uint8_t *u, uint8_t *v, int stride_y, int stride_uv, int out_width, int out_height);

#endif
