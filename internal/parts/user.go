//go:build unix

package parts

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Unprivileged returns the user under which to run a server that refuses root, and nil
// when we are not root. It is nobody, or uid 65534 where nobody has no entry.
func Unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is the current user, as in SysProcAttr
	}
	nobody, err := user.Lookup("nobody")
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		return &syscall.Credential{Uid: 65534, Gid: 65534}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("user nobody: %w", err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user nobody: %w", err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user nobody: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// TempDir makes a temporary directory that belongs to the user, or to the current one if
// nil. Not testing's TempDir: its parent is closed to other users.
func TempDir(pattern string, owner *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		return "", err
	}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return "", err
		}
	}
	return dir, nil
}
