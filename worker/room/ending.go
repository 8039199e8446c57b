package room

import (
	"fmt"
	"time"
)

// EndsBy tells everybody who is here, and whoever comes, that the room ends at
// this time at the latest. A later call tells it again.
func (r *Room) EndsBy(at time.Time) {
	_ = r.do(func() {
		r.ends = at
		r.tellAll(r.ending())
	})
}

// ending is how long the room can still go on, in words. Set by EndsBy.
func (r *Room) ending() textMessage {
	left := "moment"
	switch minutes := int(time.Until(r.ends).Round(time.Minute) / time.Minute); {
	case minutes > 1:
		left = fmt.Sprintf("%d minutes", minutes)
	case time.Until(r.ends) > 0:
		left = "minute"
	}
	return textMessage{"message", "the machine of this game is being updated: the game can go on for another " + left + ", then start it anew"}
}
