// Command govc is govmomi's command line client with what a benchmark compares with: collecting properties.
package main

import (
	"os"

	"github.com/vmware/govmomi/cli"
	_ "github.com/vmware/govmomi/cli/object" // object.collect
)

func main() {
	os.Exit(cli.Run(os.Args[1:]))
}
