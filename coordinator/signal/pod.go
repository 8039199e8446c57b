package signal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Ids of workers in Kubernetes, and of their rooms, say which pod they are of: a
// worker that proves itself by the token of its pod can have no others, not even
// those of a worker that is away just now. The part that says it is the beginning
// of a SHA-256 over the pod's UID, which the API server chooses.
const (
	podMark   = "pod-"
	podLength = 10 // characters of base32: 50 bits
	podLabel  = "cloudretro pod\n"
	maxUID    = 64 // bytes, of the UID of a pod
)

// PodPart is what ids that belong to a pod have in common; "" of no pod.
func PodPart(uid string) string {
	if uid == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(podLabel + uid))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:podLength]
}

// NewWorkerID makes the id of a worker in the pod with the part, or of one that is
// in none if that is "": a random one, see NewID.
func NewWorkerID(part string) string {
	if part == "" {
		return NewID()
	}
	return podMark + part + "-" + NewID()
}

// NewRoomID makes the id of a room of a worker in the pod with the part, which
// may be "": 26 characters of lower-case base32, of which 80 bits are random.
func NewRoomID(part string) string {
	return part + strings.ToLower(rand.Text())[:roomIDLength-len(part)]
}

// WorkerOf says whether the id of a worker is of the pod with the part, which is
// not "".
func WorkerOf(part, id string) bool {
	rest, ok := strings.CutPrefix(id, podMark+part+"-")
	return ok && rest != "" && part != "" && ValidID(id)
}

// RoomOf says whether the id of a room is of the pod with the part. Of no pod, "",
// any room may be.
func RoomOf(part, id string) bool { return ValidRoomID(id) && strings.HasPrefix(id, part) }

// TokenPod is the UID of the pod that a token of a service account is bound to, ""
// of one that is bound to none or is no token. It is what the token says of
// itself: who shows it may go by that, who is shown it must check it first
// (kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin, "Schema
// for service account private claims").
func TokenPod(token string) string {
	if checkJWT(token) != nil {
		return ""
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var said struct {
		Kubernetes struct {
			Pod struct {
				UID string `json:"uid"`
			} `json:"pod"`
		} `json:"kubernetes.io"`
	}
	if err != nil || json.Unmarshal(claims, &said) != nil || len(said.Kubernetes.Pod.UID) > maxUID {
		return ""
	}
	return said.Kubernetes.Pod.UID
}
