//go:build cgo && linux

// The two codec libraries behind one small interface. Every encoder begins with
// a cr_encoder that points to its library's functions.
#ifndef CR_H264_ENCODER_H
#define CR_H264_ENCODER_H

#include <stdint.h>

enum { CR_REASON_SIZE = 512 };

// Results.
enum {
	CR_OK = 0,
	CR_UNAVAILABLE, // the library is missing or of another version
	CR_REFUSED,     // the library refused the settings
	CR_FAILED,      // the library failed to encode
	CR_DELAYED,     // no access unit came out for a picture
	CR_TOO_LARGE,   // the access unit is larger than any sane one
};

typedef struct {
	int width, height;
	double fps, crf;
	int profile;     // media.Profile
	int max_bitrate; // bit/s
	int vbv_bits;    // size of the VBV in bits
} cr_config;

typedef struct {
	const uint8_t *data; // the library's, valid until the next call
	int size;
	int key;
} cr_output;

typedef struct {
	const uint8_t *plane[3];
	int stride[3];
} cr_picture;

typedef struct cr_encoder cr_encoder;
struct cr_encoder {
	int (*encode)(cr_encoder *, const cr_picture *, int key, cr_output *);
	int (*set_max_bitrate)(cr_encoder *, int bps, int vbv_bits);
	void (*close)(cr_encoder *);
};

// Largest access unit that is taken for real: twice the raw picture.
static inline int cr_max_output(int width, int height) { return width * height * 3 + 65536; }

// Each writes a reason of at most CR_REASON_SIZE bytes when it fails.
int cr_x264_open(const cr_config *, cr_encoder **, char *reason);
int cr_x264_probe(char *reason);
int cr_openh264_open(const cr_config *, cr_encoder **, char *reason);
int cr_openh264_probe(char *reason);

int cr_encode(cr_encoder *, const uint8_t *y, const uint8_t *u, const uint8_t *v,
	int stride_y, int stride_u, int stride_v, int key, cr_output *);
int cr_set_max_bitrate(cr_encoder *, int bps, int vbv_bits);
void cr_close(cr_encoder *);
const char *cr_error(int result);

#endif
