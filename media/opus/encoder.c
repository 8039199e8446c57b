//go:build cgo

#include "encoder.h"

#include <stddef.h>

OpusEncoder *cr_opus_open(int rate, int channels, int bitrate, int complexity, int *lookahead, int *error)
{
	OpusEncoder *e = opus_encoder_create(rate, channels, OPUS_APPLICATION_RESTRICTED_LOWDELAY, error);
	if (!e)
		return NULL;
	if ((*error = opus_encoder_ctl(e, OPUS_SET_BITRATE(bitrate))) == OPUS_OK &&
		(*error = opus_encoder_ctl(e, OPUS_SET_COMPLEXITY(complexity))) == OPUS_OK &&
		(*error = opus_encoder_ctl(e, OPUS_SET_DTX(0))) == OPUS_OK &&
		(*error = opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(0))) == OPUS_OK &&
		(*error = opus_encoder_ctl(e, OPUS_SET_LSB_DEPTH(16))) == OPUS_OK &&
		(*error = opus_encoder_ctl(e, OPUS_GET_LOOKAHEAD(lookahead))) == OPUS_OK)
		return e;
	opus_encoder_destroy(e);
	return NULL;
}
