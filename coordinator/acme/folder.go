package acme

import (
	"errors"
	"fmt"
	"os"
)

// makeFolder makes the folder of private keys, or checks the one that is there.
// Its rights are not changed: it may be a folder that is named by mistake.
func makeFolder(name string) error {
	if name == "" {
		return errors.New("no folder to keep certificates in: without one each start asks for new ones, until the authority refuses")
	}
	if err := os.MkdirAll(name, 0o700); err != nil {
		return fmt.Errorf("make the folder of certificates: %w; name one that this user may write to", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("look at the folder of certificates: %w", err)
	}
	if rights := info.Mode().Perm(); rights&0o077 != 0 {
		return fmt.Errorf("others may enter the folder %q of private keys (%#o); name one in it that does not exist yet, or chmod 700 it if it is for this alone", name, rights)
	}
	probe, err := os.CreateTemp(name, "probe")
	if err != nil {
		return fmt.Errorf("write to the folder of certificates: %w; give this user the right to (chmod, chown)", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
