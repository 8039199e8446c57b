package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

func legacyCalls() []uint32 { return nil }

func legacyRules() []rule { return nil }
