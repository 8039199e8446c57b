//go:build !linux || !cgo

package libretro

// Core is an open core. This build has none: Open always fails.
type Core struct{}

// Available is nil where cores can be loaded, else ErrUnavailable.
func Available() error { return ErrUnavailable }

// Open returns ErrUnavailable.
func Open(string, Config) (*Core, error) { return nil, ErrUnavailable }

// System is what the core says about itself.
func (c *Core) System() System { return System{} }

// AV is the geometry and timing that hold now.
func (c *Core) AV() AV { return AV{} }

// Load returns ErrUnavailable.
func (c *Core) Load(Game) error { return ErrUnavailable }

// SetPad does nothing.
func (c *Core) SetPad(int, uint16, [4]int16) {}

// Run returns ErrUnavailable.
func (c *Core) Run(*Output) error { return ErrUnavailable }

// Reset returns ErrUnavailable.
func (c *Core) Reset() error { return ErrUnavailable }

// StateSize is 0.
func (c *Core) StateSize() int { return 0 }

// Serialize returns ErrUnavailable.
func (c *Core) Serialize([]byte) (int, error) { return 0, ErrUnavailable }

// Unserialize returns ErrUnavailable.
func (c *Core) Unserialize([]byte) error { return ErrUnavailable }

// Memory is nil.
func (c *Core) Memory(MemoryID) []byte { return nil }

// Options is nil.
func (c *Core) Options() []Option { return nil }

// Close does nothing.
func (c *Core) Close() error { return nil }
