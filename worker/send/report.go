package send

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/cloudretro/cloudretro/worker/send/feedback"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

const reportEvery = time.Second

// Reports that one browser may ask for, in a second and at once: each is encrypted
// and sent by itself, with the turn waiting. A browser asks once a second.
const (
	answerRate = 5
	maxAnswers = 5
)

// sendReports sends a sender report for each stream that has begun (RFC 3550,
// section 6.4.1), once a second, all in one compound packet.
func (v *Viewer) sendReports(o *output) {
	if v.cfg.Report == nil || o.now < v.report {
		return
	}
	var compound []rtcp.Packet
	now, wall := o.cfg.Now(), ntp(o.cfg.Wall()) // one moment; that of the turn is past
	for _, s := range [...]*stream{v.video, v.audio} {
		if s != nil && s.begun {
			compound = append(compound, &rtcp.SenderReport{
				SSRC: s.cfg.SSRC, NTPTime: wall, RTPTime: s.timeAt(now), PacketCount: s.packets, OctetCount: s.octets,
			})
		}
	}
	if len(compound) == 0 {
		return // with the first turn after something was sent
	}
	v.report = o.now + reportEvery
	if err := v.cfg.Report(compound); err != nil {
		v.bump(writeErrors, 1)
		return
	}
	v.bump(reports, len(compound))
}

// answerTime lets a browser that asks for it measure the round trip (RFC 3611,
// section 4.5), which it otherwise cannot: it sends no media. Chromium repeats a
// NACK after one round trip, and takes 100 ms for it until it knows better: then
// each resend that gets lost is seen as a freeze. The letter was urgent, so hardly
// any time has passed since it came.
func (v *Viewer) answerTime(o *output, s *stream, m *feedback.Message) {
	if v.cfg.Report == nil || s != v.video {
		return
	}
	if !v.answers.take(1, o.now) {
		v.bump(feedbackDropped, 1)
		return
	}
	err := v.cfg.Report([]rtcp.Packet{&rtcp.ExtendedReport{SenderSSRC: s.cfg.SSRC, Reports: []rtcp.ReportBlock{
		&rtcp.DLRRReportBlock{Reports: []rtcp.DLRRReport{{SSRC: m.Sender, LastRR: m.ReferenceTime()}}},
	}}})
	if err != nil {
		v.bump(writeErrors, 1)
	}
}

// timeAt is the RTP time of a moment: that of the last unit, carried on. Sound
// counts samples, so its time need not be that of its PTS.
func (s *stream) timeAt(now time.Duration) uint32 {
	clock := int64(videoClock)
	if s.cfg.Codec == packetize.Opus {
		clock = soundClock
	}
	since := int64(now - s.pts)
	whole, rest := since/int64(time.Second), since%int64(time.Second)
	return s.offset + s.time + uint32(whole*clock+rest*clock/int64(time.Second))
}

const videoClock = 90_000 // Hz

// ntp is a time in seconds since 1900, 32.32 bits (RFC 3550, section 4).
func ntp(t time.Time) uint64 {
	const since1900 = 2_208_988_800
	seconds := uint64(t.Unix() + since1900)
	return seconds<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// middle is the middle 32 bits of a time, as reports echo it.
func middle(t time.Time) uint32 { return uint32(ntp(t) >> 16) }
