package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// prepare makes what a start expects and removes what an earlier run left. What cannot be made is told and
// passed over: a service that needs it says so better than we can, one that does not runs.
func prepare(spec *Spec) {
	for _, path := range spec.Remove {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			say("cannot remove %s of an earlier run: %v", path, err)
		}
	}
	if spec.MachineID {
		if err := fillMachineIDs("/"); err != nil {
			say("cannot give the container a machine ID: %v", err)
		}
	}
	for _, path := range spec.Paths {
		if err := path.make(); err != nil {
			say("cannot make %s: %v", path.Path, err)
		}
	}
}

// make makes the path, and the directories above it, unless it is there; its owner and mode are set anyhow.
func (path Path) make() error {
	mode, err := octal(path.Mode, map[bool]uint32{true: 0o755, false: 0o644}[path.Kind == "directory"])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path.Path), 0o755); err != nil {
		return err
	}
	if path.Source != "" {
		return path.putSecret(mode)
	}
	if err := path.create(mode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if path.Kind == "symlink" {
		return nil
	}
	// A volume that is mounted here keeps the owner that its own people gave it; one for /run is as empty as that.
	if !strings.HasPrefix(path.Path, "/run/") && isMountPoint(path.Path) {
		return nil
	}
	if err := chown(path.Path, path.User, path.Group); err != nil {
		return err
	}
	return syscall.Chmod(path.Path, mode)
}

func (path Path) create(mode uint32) error {
	switch path.Kind {
	case "directory":
		return os.Mkdir(path.Path, os.FileMode(mode&0o777))
	case "symlink":
		return os.Symlink(path.Target, path.Path)
	case "fifo":
		return syscall.Mkfifo(path.Path, mode)
	case "file":
		file, err := os.OpenFile(path.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(mode&0o777))
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = file.WriteString(path.Text)
		return err
	}
	return fmt.Errorf("unknown kind %q", path.Kind)
}

// chown gives a path to a user and group by name; empty ones stay root's.
func chown(path, user, group string) error {
	uid, gid := 0, 0
	if user != "" {
		found, err := findUser(user)
		if err != nil {
			return err
		}
		uid, gid = found.uid, found.gid
	}
	if group != "" {
		found, err := findGroup(group)
		if err != nil {
			return err
		}
		gid = found
	}
	if err := os.Lchown(path, uid, gid); err != nil {
		var now syscall.Stat_t
		if syscall.Lstat(path, &now) == nil && int(now.Uid) == uid && int(now.Gid) == gid {
			return nil
		}
		return err
	}
	return nil
}

func isMountPoint(path string) bool {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		// mount ID, parent ID, major:minor, root, mount point (proc_pid_mountinfo(5))
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == path {
			return true
		}
	}
	return false
}
