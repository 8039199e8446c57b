package signal

import (
	"slices"
	"testing"
)

func TestPlaces(t *testing.T) {
	now := noon().UnixMilli()
	check(t, map[string]verdict{
		"reserve":               {Reserve{Ticket: "t", Game: "pong", Since: now}, true},
		"reserve and wait":      {Reserve{Ticket: NewID(), Game: "pong", Since: maxTime, Wait: true}, true},
		"reserve at any time":   {Reserve{Ticket: "t", Game: "pong"}, true},
		"reserve for nobody":    {Reserve{Game: "pong", Since: now}, false},
		"reserve for a path":    {Reserve{Ticket: "../t", Game: "pong", Since: now}, false},
		"reserve nothing":       {Reserve{Ticket: "t", Since: now}, false},
		"reserve a path":        {Reserve{Ticket: "t", Game: "a/b", Since: now}, false},
		"before all times":      {Reserve{Ticket: "t", Game: "pong", Since: -1}, false},
		"after all times":       {Reserve{Ticket: "t", Game: "pong", Since: maxTime + 1}, false},
		"reserved":              {Reserved{Ticket: "t", Seconds: 30}, true},
		"reserved for nobody":   {Reserved{Seconds: 30}, false},
		"reserved for no time":  {Reserved{Ticket: "t"}, false},
		"reserved for ever":     {Reserved{Ticket: "t", Seconds: maxSeconds + 1}, false},
		"cancel":                {Cancel{Ticket: "t"}, true},
		"cancel nothing":        {Cancel{}, false},
		"nobody waits":          {Queue{Coordinator: "c"}, true},
		"some wait":             {Queue{Coordinator: "c", Since: []int64{1, 2, 2, now}}, true},
		"as many as may":        {Queue{Coordinator: "c", Since: make([]int64, MaxQueue)}, true},
		"more than may":         {Queue{Coordinator: "c", Since: make([]int64, MaxQueue+1)}, false},
		"out of order":          {Queue{Coordinator: "c", Since: []int64{2, 1}}, false},
		"since before all time": {Queue{Coordinator: "c", Since: []int64{-1, 1}}, false},
		"since the end of time": {Queue{Coordinator: "c", Since: []int64{1, maxTime + 1}}, false},
		"queue of nobody":       {Queue{Since: []int64{1}}, false},
		"signed queue":          {Queue{Coordinator: "c", Since: []int64{1}, At: now}.Sign("secret"), true},
		"badly signed queue":    {Queue{Coordinator: "c", MAC: text(64)}, false},
		"said after all times":  {Queue{Coordinator: "c", At: maxTime + 1}, false},
		"said before all times": {Queue{Coordinator: "c", At: -1}, false},
		"queued":                {Queued{Position: 1, Waiting: 1}, true},
		"last in the queue":     {Queued{Position: 7, Waiting: 7, Token: text(MaxToken)}, true},
		"before the first":      {Queued{Waiting: 1}, false},
		"after the last":        {Queued{Position: 2, Waiting: 1}, false},
		"long token":            {Queued{Position: 1, Waiting: 1, Token: text(MaxToken + 1)}, false},
		"granted":               {Granted{Ticket: "t", Seconds: 10, ICEServers: []ICEServer{{URLs: []string{"stun:a"}}}}, true},
		"granted nothing":       {Granted{Seconds: 10}, false},
		"granted for no time":   {Granted{Ticket: "t"}, false},
		"granted a bad server":  {Granted{Ticket: "t", Seconds: 10, ICEServers: []ICEServer{{URLs: []string{"x"}}}}, false},
	})
}

// The times are what JavaScript's numbers can say.
func TestTimesAreExact(t *testing.T) {
	if int64(float64(maxTime)) != maxTime || int64(float64(maxTime-1)) != maxTime-1 {
		t.Error("a time is not exact as a number of JSON")
	}
}

func TestQueueComesBack(t *testing.T) {
	data, err := Encode(TypeQueue, "", "", Queue{Coordinator: "c", Since: []int64{1, maxTime}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(data, MaxInternal)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Read[Queue](e)
	if err != nil || q.Coordinator != "c" || !slices.Equal(q.Since, []int64{1, maxTime}) {
		t.Errorf("%+v, %v", q, err)
	}
}

func TestSignedQueue(t *testing.T) {
	q := Queue{Coordinator: "c", Since: []int64{1, 2}, At: 7}.Sign("secret")
	if !q.Signed("secret") || q.Signed("secrets") || q.Signed("") || (Queue{}).Sign("").Signed("") {
		t.Error("signed by another one")
	}
	data, err := Encode(TypeQueue, "", "", q)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(data, MaxInternal)
	if err != nil {
		t.Fatal(err)
	}
	if carried, err := Read[Queue](e); err != nil || !carried.Signed("secret") {
		t.Errorf("not signed after it was carried: %+v, %v", carried, err)
	}
	for name, other := range map[string]Queue{
		"coordinator": {Coordinator: "d", Since: q.Since, At: q.At}, "since": {Coordinator: "c", Since: []int64{1, 3}, At: q.At},
		"fewer": {Coordinator: "c", Since: []int64{1}, At: q.At}, "at": {Coordinator: "c", Since: q.Since, At: 8},
		"shifted": {Coordinator: "c\n7", Since: q.Since},
	} {
		if other.MAC = q.MAC; other.Signed("secret") {
			t.Errorf("another %s has the same signature", name)
		}
	}
	if CheckMAC("secret", NewNonce(), RoleWorker, "w", q.MAC) {
		t.Error("it proves a worker")
	}
}
