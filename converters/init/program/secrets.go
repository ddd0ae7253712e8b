package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// putSecret gives a file the content of its source, whole or not at all, with its owner and mode. Where a person
// has mounted something at its place, that stays.
func (path Path) putSecret(mode uint32) error {
	if isMountPoint(path.Path) {
		return nil
	}
	content, err := os.ReadFile(path.Source)
	if err != nil {
		return fmt.Errorf("the image has it no more, and its secret is not mounted: %w", err)
	}
	return replaceFile(path.Path, content, func(name string) error {
		if err := chown(name, path.User, path.Group); err != nil {
			return err
		}
		return syscall.Chmod(name, mode)
	})
}

// replaceFile writes a file beside its place, readable for root alone, and moves it there when it is as it shall
// be: nobody sees half of it, and an unwritable one is replaced without the right to write it.
func replaceFile(path string, content []byte, finish func(name string) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".orchestrate-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := finish(file.Name()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// fillMachineIDs gives a container whose machine-id(5) is there and empty a number of its own, as systemd does at
// a first boot; the bus' own file gets the same.
func fillMachineIDs(root string) error {
	number := make([]byte, 16)
	if _, err := rand.Read(number); err != nil {
		return err
	}
	number[6] = number[6]&0x0f | 0x40 // a random UUID (RFC 9562, section 5.4), as machine-id(5) has it
	number[8] = number[8]&0x3f | 0x80
	text := fmt.Appendf(nil, "%x\n", number)
	for _, name := range []string{"etc/machine-id", "var/lib/dbus/machine-id"} {
		path := filepath.Join(root, name)
		found, err := os.Lstat(path)
		if err != nil || !found.Mode().IsRegular() || found.Size() > 0 {
			continue
		}
		readable := func(name string) error { return syscall.Chmod(name, 0o444) }
		if err := replaceFile(path, text, readable); err != nil {
			return err
		}
	}
	return nil
}

// readSecretEnvironment gives the variables of a mounted file; none where no file is named.
func readSecretEnvironment(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	variables := map[string]string{}
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the secret with the service's variables is not mounted at %s", path)
	}
	if err == nil {
		err = json.Unmarshal(content, &variables)
	}
	return variables, err
}
