// Lists a tar archive as Go's archive/tar reads it, one JSON object a line, byte strings in hexadecimal.
package main

import (
	"archive/tar"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"strings"
)

type entry struct {
	Name        string            `json:"name"`
	Link        string            `json:"link"`
	Type        string            `json:"type"`
	Mode        int64             `json:"mode"`
	Uid         int               `json:"uid"`
	Gid         int               `json:"gid"`
	Mtime       int64             `json:"mtime"`
	Nanoseconds int               `json:"nanoseconds"`
	Major       int64             `json:"major"`
	Minor       int64             `json:"minor"`
	Xattrs      map[string]string `json:"xattrs"`
	Content     string            `json:"content"`
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	archive := tar.NewReader(file)
	out := json.NewEncoder(os.Stdout)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			log.Fatal(err)
		}
		xattrs := map[string]string{}
		for key, value := range header.PAXRecords {
			if name, found := strings.CutPrefix(key, "SCHILY.xattr."); found {
				xattrs[hex.EncodeToString([]byte(name))] = hex.EncodeToString([]byte(value))
			}
		}
		if err := out.Encode(entry{
			hex.EncodeToString([]byte(header.Name)), hex.EncodeToString([]byte(header.Linkname)),
			string(header.Typeflag), header.Mode, header.Uid, header.Gid,
			header.ModTime.Unix(), header.ModTime.Nanosecond(), header.Devmajor, header.Devminor,
			xattrs, hex.EncodeToString(content),
		}); err != nil {
			log.Fatal(err)
		}
	}
}
