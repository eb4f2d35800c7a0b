// Command helm is Helm as it is: what charts are rendered and checked with in the end-to-end tests.
package main

import (
	"errors"
	"log/slog"
	"os"

	helmcmd "helm.sh/helm/v4/pkg/cmd"
)

func main() {
	cmd, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err != nil {
		slog.Error("helm does not start", slog.Any("error", err))
		os.Exit(1)
	}
	if err := cmd.Execute(); err != nil {
		if code, ok := errors.AsType[helmcmd.CommandError](err); ok {
			os.Exit(code.ExitCode)
		}
		os.Exit(1)
	}
}
