package send

import (
	"net"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// TestReportMoment takes a turn that begins late, as one behind many viewers does:
// both times of its report are of one moment.
func TestReportMoment(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(500, true)
	r.picture(picture, true)
	pts, wall := r.now, r.wall
	r.turns()
	offset := w.want(picture, maxPayload)[0].Timestamp - videoTime(pts)
	began := r.now
	r.advance(3 * time.Millisecond)
	r.sender.Turn(began)
	if len(w.reports) != 1 {
		t.Fatalf("%d reports", len(w.reports))
	}
	report := w.reports[0]
	since := time.Duration(float64(report.NTPTime-ntp(wall)) / (1 << 32) * float64(time.Second))
	if off := int32(report.RTPTime - offset - videoTime(pts+since)); off < -9 || off > 9 {
		t.Errorf("RTP time is %d beside NTP time", off)
	}
}

// TestReportFails counts reports that pion does not take and goes on with the next
// one.
func TestReportFails(t *testing.T) {
	fails := true
	v := NewViewer(ViewerConfig{Video: videoStream(), Report: func([]rtcp.Packet) error {
		if fails {
			return net.ErrClosed
		}
		return nil
	}})
	r := newRig(t, "127.0.0.1", batch.Config{})
	r.sender.Attach(v)
	openFast(t, v, r.conn, sink(t), seal.AEADAES128GCM)
	for i := range 60 {
		r.picture(accessUnit(500, i == 0), i == 0)
		r.turns()
	}
	if got := v.Stats(); got.WriteErrors != 1 || got.Reports != 0 {
		t.Errorf("%+v", got.Counts)
	}
	fails = false
	r.advance(reportEvery)
	r.picture(accessUnit(500, false), false)
	r.turns()
	if got := v.Stats(); got.WriteErrors != 1 || got.Reports != 1 {
		t.Errorf("%+v", got.Counts)
	}
}
