package relay

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// tableBuckets is the fixed number of chains of a table: 64 KiB of heads, and
// chains of two or three entries for ten thousands of bindings.
const tableBuckets = 8192

// table is a hash map whose load takes no lock, for thousands of entries that
// are read by every packet and written by control messages. Keys are hashed
// with a secret seed, because clients choose them.
type table[K comparable, V any] struct {
	seed    maphash.Seed
	buckets []atomic.Pointer[tableEntry[K, V]]

	mu   sync.Mutex // for those who write
	size int
}

// tableEntry is immutable but for next, which only writers change.
type tableEntry[K comparable, V any] struct {
	key   K
	value V
	next  atomic.Pointer[tableEntry[K, V]]
}

func newTable[K comparable, V any]() *table[K, V] {
	return &table[K, V]{seed: maphash.MakeSeed(), buckets: make([]atomic.Pointer[tableEntry[K, V]], tableBuckets)}
}

func (t *table[K, V]) head(key K) *atomic.Pointer[tableEntry[K, V]] {
	return &t.buckets[maphash.Comparable(t.seed, key)%uint64(len(t.buckets))]
}

// load is the value of key, or the zero value.
func (t *table[K, V]) load(key K) (value V) {
	for e := t.head(key).Load(); e != nil; e = e.next.Load() {
		if e.key == key {
			return e.value
		}
	}
	return value
}

// store sets the value of key. Who reads meanwhile sees the old or the new one:
// a new entry takes the place of the old one in its chain.
func (t *table[K, V]) store(key K, value V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	head := t.head(key)
	fresh := &tableEntry[K, V]{key: key, value: value}
	if link := find(head, key); link != nil {
		fresh.next.Store(link.Load().next.Load())
		link.Store(fresh)
		return
	}
	fresh.next.Store(head.Load())
	head.Store(fresh)
	t.size++
}

// remove takes key out if held agrees to its value. The entry keeps its next,
// so that who stands on it finds the rest of the chain.
func (t *table[K, V]) remove(key K, held func(V) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if link := find(t.head(key), key); link != nil && held(link.Load().value) {
		link.Store(link.Load().next.Load())
		t.size--
	}
}

// find is what points to the entry of key, in the chain that begins at link, or nil.
func find[K comparable, V any](link *atomic.Pointer[tableEntry[K, V]], key K) *atomic.Pointer[tableEntry[K, V]] {
	for e := link.Load(); e != nil; e = link.Load() {
		if e.key == key {
			return link
		}
		link = &e.next
	}
	return nil
}

// len is the number of entries.
func (t *table[K, V]) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}
