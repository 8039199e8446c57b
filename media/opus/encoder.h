//go:build cgo

#ifndef CR_OPUS_ENCODER_H
#define CR_OPUS_ENCODER_H

#include <opus/opus.h>

// Makes an encoder; the options of libopus are macros. NULL and an error code in
// *error if that fails.
OpusEncoder *cr_opus_open(int rate, int channels, int bitrate, int complexity, int *lookahead, int *error);

#endif
