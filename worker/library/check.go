package library

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// headSize is how much of a file is looked at.
const headSize = 512 // bytes

// checkFile says why a file cannot be a game of its extension, "" if it may be
// one. The core has the last word; this keeps what is plainly something else
// out of the menu.
func checkFile(path string, size int64, ext string) string {
	switch {
	case size == 0:
		return "it is empty"
	case size > maxFile:
		return fmt.Sprintf("it has %d bytes, at most %d are taken", size, int64(maxFile))
	}
	f, err := os.Open(path)
	if err != nil {
		return reasonOf(err)
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return reasonOf(err)
	}
	return checkHead(head[:n], size, ext)
}

// checkHead is checkFile on the first bytes.
func checkHead(head []byte, size int64, ext string) string {
	if kind := foreign(head); kind != "" {
		return "it is " + kind
	}
	ok := true
	switch ext {
	case "nes": // https://www.nesdev.org/wiki/INES
		ok = bytes.HasPrefix(head, []byte("NES\x1a")) && size > 16
	case "fds": // https://www.nesdev.org/wiki/FDS_file_format, with and without header
		ok = bytes.HasPrefix(head, []byte("FDS\x1a")) || bytes.HasPrefix(head, []byte("\x01*NINTENDO-HVC*"))
	case "unf", "unif": // https://www.nesdev.org/wiki/UNIF
		ok = bytes.HasPrefix(head, []byte("UNIF"))
	case "gb", "gbc":
		ok = gameBoy(head)
	case "gba":
		ok = gameBoyAdvance(head)
	case "sfc", "smc": // 32 KiB banks, perhaps behind a copier's header
		ok = size >= 32<<10 && size <= 16<<20 && (size%1024 == 0 || size%1024 == 512)
	case "pce", "sgx": // 8 KiB banks, perhaps behind a copier's header
		ok = size >= 8<<10 && size <= 16<<20 && (size%1024 == 0 || size%1024 == 512)
	}
	if !ok {
		return "its content is not that of a ." + ext + " file"
	}
	return ""
}

// foreign names what is plainly no game of any system, "" otherwise.
func foreign(head []byte) string {
	for magic, kind := range map[string]string{
		"PK\x03\x04": "a ZIP archive; unpack it", "7z\xbc\xaf": "a 7z archive; unpack it", "Rar!": "a RAR archive; unpack it",
		"\x1f\x8b": "a gzip archive; unpack it", "\x7fELF": "a program", "\x89PNG": "a picture",
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return kind
		}
	}
	for _, c := range head {
		if c >= 0x7f || c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return ""
		}
	}
	return "a text file"
}

// gameBoy checks the header checksum, without which the console does not start
// (https://gbdev.io/pandocs/The_Cartridge_Header.html, 014D).
func gameBoy(head []byte) bool {
	if len(head) < 0x150 {
		return false
	}
	sum := byte(0)
	for _, c := range head[0x134:0x14d] {
		sum -= c + 1
	}
	return sum == head[0x14d]
}

// gameBoyAdvance wants the fixed byte or the complement check of the header
// (https://problemkaputt.de/gbatek.htm, "GBA Cartridge Header"); some homebrew
// has only one of them right, and cores start it.
func gameBoyAdvance(head []byte) bool {
	if len(head) < 0xc0 {
		return false
	}
	sum := byte(0x19)
	for _, c := range head[0xa0:0xbd] {
		sum += c
	}
	return head[0xb2] == 0x96 || head[0xbd] == -sum
}
