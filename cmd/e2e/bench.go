package e2e

import (
	"context"
	"fmt"
	"os"
)

// Bench is what a benchmark plays with: the binary, and a browser.
type Bench struct {
	Bin     string
	Dir     string // scratch, gone after Close
	Browser *Browser
}

// NewBench builds the binary and starts Chromium.
func NewBench(ctx context.Context) (*Bench, error) {
	dir, err := os.MkdirTemp("", "cloudretro-bench")
	if err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	b := &Bench{Dir: dir}
	if b.Bin, err = Build(ctx, dir); err == nil {
		b.Browser, err = StartBrowser(ctx)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return b, nil
}

// Close ends the browser and removes the scratch folder.
func (b *Bench) Close() {
	b.Browser.Close()
	_ = os.RemoveAll(b.Dir)
}
