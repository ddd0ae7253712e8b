package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// account is one user of /etc/passwd; a number without an entry has neither home nor shell.
type account struct {
	name, home, shell string
	uid, gid          int
}

// findUser looks a user up by name or number. The C library is not asked: only files of the image count.
func findUser(name string) (account, error) {
	number, numeric := strconv.Atoi(name)
	for _, fields := range entries("/etc/passwd", 7) {
		uid, err := strconv.Atoi(fields[2])
		gid, groupErr := strconv.Atoi(fields[3])
		if err != nil || groupErr != nil {
			continue
		}
		if fields[0] == name || numeric == nil && uid == number {
			return account{fields[0], fields[5], strings.TrimSpace(fields[6]), uid, gid}, nil
		}
	}
	if numeric == nil && number >= 0 {
		return account{name: name, home: "/", uid: number, gid: number}, nil
	}
	return account{}, fmt.Errorf("user %q is not in /etc/passwd", name)
}

// findGroup looks a group up by name or number.
func findGroup(name string) (int, error) {
	for _, fields := range entries("/etc/group", 3) {
		if fields[0] == name {
			return strconv.Atoi(fields[2])
		}
	}
	if number, err := strconv.Atoi(name); err == nil && number >= 0 {
		return number, nil
	}
	return 0, fmt.Errorf("group %q is not in /etc/group", name)
}

// groupsOf lists the groups that have the user as a member, its own group first.
func groupsOf(user account, own int) []int {
	groups := []int{own}
	for _, fields := range entries("/etc/group", 4) {
		for _, member := range strings.Split(strings.TrimSpace(fields[3]), ",") {
			if gid, err := strconv.Atoi(fields[2]); err == nil && member == user.name && gid != own {
				groups = append(groups, gid)
			}
		}
	}
	return groups
}

// entries gives the lines of an account file that have at least so many fields.
func entries(path string, fields int) [][]string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var found [][]string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if parts := strings.Split(lines.Text(), ":"); len(parts) >= fields {
			found = append(found, parts)
		}
	}
	return found
}
