package signal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

var errTicket = errors.New("ticket is malformed")

// Bounds of places and queues.
const (
	MaxQueue   = 2_000            // who waits at one coordinator
	MaxZones   = 64               // that a browser measures
	maxLatency = 60_000           // ms
	maxTime    = int64(1) << 53   // ms since 1970, what JSON's numbers can say exactly
	maxSeconds = 7 * 24 * 60 * 60 // of any time that somebody may choose
)

// Reserve asks a worker for a place: one more game at once. The worker alone
// decides. A place that it grants is held for Reserved.Seconds, and taken by a
// Start with the same ticket.
//
// With Wait the request stands while no place is free, and is answered when one
// is: of all that stand, from all coordinators, the one with the lowest Since, and
// of equals the lowest ticket, comes first. It ends with Cancel, and when the
// connection to the coordinator ends. A place that becomes free while requests
// stand is never given to one that comes later.
type Reserve struct {
	Ticket string `json:"ticket"` // a new one by NewID for each player who asks; the same for all workers that are asked
	Game   string `json:"game"`
	Since  int64  `json:"since"` // ms since 1970 when the player began to ask
	Wait   bool   `json:"wait,omitempty"`
}

// Reserved grants a Reserve.
type Reserved struct {
	Ticket  string `json:"ticket"`
	Seconds int    `json:"seconds"` // how long the place is held
}

// Cancel takes a Reserve back, whether it stands or was granted. A worker that
// does not know the ticket, or whose place is taken by now, ignores it.
type Cancel struct {
	Ticket string `json:"ticket"`
}

// Queue is who waits at a coordinator, for the others to count who is before
// whom. It is said anew while anybody waits, and forgotten after QueueSeconds.
type Queue struct {
	Coordinator string  `json:"coordinator"`
	Since       []int64 `json:"since"`         // ms since 1970, rising; at most MaxQueue
	At          int64   `json:"at,omitempty"`  // ms since 1970 when it was said
	MAC         string  `json:"mac,omitempty"` // see Sign
}

// Sign has other coordinators know the list as one of theirs: workers, which carry
// it, could make up any. It is theirs alone if secret is secrets.session.
func (q Queue) Sign(secret string) Queue {
	q.MAC = q.mac(secret)
	return q
}

// Signed says in constant time whether a coordinator has signed the list. An empty
// secret fits nothing.
func (q Queue) Signed(secret string) bool {
	return hmac.Equal([]byte(q.mac(secret)), []byte(q.MAC)) && secret != ""
}

// mac is separated from other uses of the secret by its prefix.
func (q Queue) mac(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "queue\n%s\n%d\n%d", q.Coordinator, q.At, q.Since)
	return hex.EncodeToString(mac.Sum(nil))
}

// QueueSeconds is how long a Queue holds; it is repeated three times as often.
const QueueSeconds = 9

// Queued tells a page that it waits.
type Queued struct {
	Position int    `json:"position"`        // 1 is next; over all coordinators
	Waiting  int    `json:"waiting"`         // in all
	Token    string `json:"token,omitempty"` // with the first: a Resume elsewhere, and the Start again, keep the place
}

// Granted tells a page that a place is held for it.
type Granted struct {
	Ticket     string      `json:"ticket"`
	Seconds    int         `json:"seconds"` // how long
	ICEServers []ICEServer `json:"iceServers"`
}

// Validate checks ids and the time.
func (r Reserve) Validate() error {
	if !ValidID(r.Ticket) {
		return errTicket
	}
	return first(checkGame(r.Game), checkTime("since", r.Since))
}

// Validate checks the ticket and the time.
func (r Reserved) Validate() error {
	if !ValidID(r.Ticket) {
		return errTicket
	}
	return checkRange("seconds", r.Seconds, 1, maxSeconds)
}

// Validate checks the ticket.
func (c Cancel) Validate() error {
	if !ValidID(c.Ticket) {
		return errTicket
	}
	return nil
}

// Validate checks the id, the number, the order and the form of the MAC, which may
// be missing.
func (q Queue) Validate() error {
	if !ValidID(q.Coordinator) {
		return errors.New("coordinator is malformed")
	}
	if len(q.Since) > MaxQueue {
		return fmt.Errorf("more than %d wait", MaxQueue)
	}
	if !slices.IsSorted(q.Since) {
		return errors.New("since does not rise")
	}
	for _, t := range q.Since {
		if err := checkTime("since", t); err != nil {
			return err
		}
	}
	if q.MAC != "" {
		return first(checkTime("at", q.At), checkHex("mac", q.MAC, macSize))
	}
	return checkTime("at", q.At)
}

// Validate checks numbers and sizes.
func (q Queued) Validate() error {
	return first(checkRange("position", q.Position, 1, 1<<30), checkRange("waiting", q.Waiting, q.Position, 1<<30),
		checkText("token", q.Token, MaxToken))
}

// Validate checks the ticket, the time and the servers.
func (g Granted) Validate() error {
	return first(Reserved{g.Ticket, g.Seconds}.Validate(), checkServers(g.ICEServers))
}

func checkTime(name string, ms int64) error {
	if ms < 0 || ms > maxTime {
		return fmt.Errorf("%s %d is no time in ms", name, ms)
	}
	return nil
}

// checkLatencies: zones by name, and sane times.
func checkLatencies(ms map[string]int) error {
	if len(ms) > MaxZones {
		return fmt.Errorf("more than %d zones", MaxZones)
	}
	for zone, n := range ms {
		if err := first(checkText("zone", zone, maxID), checkRange("latency", n, 0, maxLatency)); err != nil {
			return err
		}
	}
	return nil
}
