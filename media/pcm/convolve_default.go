//go:build !cgo

package pcm

func convolve(k *kernel, left, right []float32, out []int16, position, step uint64) {
	convolvePlain(k, left, right, out, position, step)
}
