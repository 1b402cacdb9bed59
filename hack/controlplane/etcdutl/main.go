// Command etcdutl takes and restores snapshots of etcd, by upstream's own code in the version that go.mod pins, for
// tests of clusters that went back in time. It is etcdctl's "snapshot save" and etcdutl's "snapshot restore" in one.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.uber.org/zap"
)

func main() {
	commands := etcdutl.NewSnapshotCommand()
	commands.AddCommand(save())
	root := &cobra.Command{Use: "etcdutl", SilenceUsage: true}
	root.AddCommand(commands)
	if root.Execute() != nil {
		os.Exit(1)
	}
}

func save() *cobra.Command {
	var endpoint string
	cmd := &cobra.Command{
		Use:   "save <filename>",
		Short: "Stores a snapshot of a running etcd in a file",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			cfg := clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second}
			if _, err := snapshot.SaveWithVersion(ctx, zap.NewNop(), cfg, args[0]); err != nil {
				return fmt.Errorf("saving a snapshot of %s: %w", endpoint, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&endpoint, "endpoint", "http://127.0.0.1:2379", "URL of the member's clients")
	return cmd
}
