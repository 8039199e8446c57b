package gateway

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxConditions is what the schemas allow in one list.
const maxConditions = 8

// verdict is a condition as it is to be.
type verdict struct {
	kind    string
	status  metav1.ConditionStatus
	reason  string
	message string
}

// good and bad are conditions of positive polarity.
func good[T, R ~string](kind T, reason R, message string) verdict {
	return verdict{string(kind), metav1.ConditionTrue, string(reason), message}
}

func bad[T, R ~string](kind T, reason R, message string) verdict {
	return verdict{string(kind), metav1.ConditionFalse, string(reason), message}
}

// merge is a list of conditions with verdicts in it, by the rules that the
// Gateway API has for its conditions: those of others stay, in their order; one
// that a newer generation has been seen for is left alone; the time of transition
// changes with the status only.
func merge(known []metav1.Condition, generation int64, now time.Time, verdicts ...verdict) []metav1.Condition {
	merged := slices.Clone(known)
	for _, v := range verdicts {
		c := metav1.Condition{
			Type: v.kind, Status: v.status, Reason: v.reason, Message: shorten(v.message),
			ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		}
		i := slices.IndexFunc(merged, func(c metav1.Condition) bool { return c.Type == v.kind })
		switch {
		case i < 0 && len(merged) < maxConditions:
			merged = append(merged, c)
		case i >= 0 && merged[i].ObservedGeneration <= generation:
			if merged[i].Status == c.Status && !merged[i].LastTransitionTime.IsZero() {
				c.LastTransitionTime = merged[i].LastTransitionTime
			}
			merged[i] = c
		}
	}
	return merged
}

// shorten bounds a message, which may quote what others wrote.
func shorten(message string) string {
	if len(message) > maxMessage {
		message = message[:maxMessage-3] + "..."
	}
	return strings.ToValidUTF8(message, "?")
}
