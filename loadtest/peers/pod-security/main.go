// Command pod-security asks the evaluator of Kubernetes' pod-security-admission about pods: the standard "restricted",
// at its latest version.
//
// It reads requests from the file it is given, and prints all answers as a line of JSON. For every line it then reads,
// "decoded MILLISECONDS" or "json MILLISECONDS", it answers again and again for so long, and prints how many it answered
// and how much CPU time that took, garbage collection included. "decoded" begins with pods, "json" with bytes, which
// encoding/json decodes, as in a webhook that is written in Go.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type question struct {
	Requests []struct {
		Object json.RawMessage `json:"object"`
	} `json:"requests"`
}

var restricted = api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pod-security:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: %s FILE", os.Args[0])
	}
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var asked question
	if err := json.Unmarshal(raw, &asked); err != nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	allows := func(pod *corev1.Pod) bool {
		return policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)).Allowed
	}
	pods := make([]*corev1.Pod, len(asked.Requests))
	answers := make([]bool, len(asked.Requests))
	for i, request := range asked.Requests {
		if pods[i], err = decode(request.Object); err != nil {
			return err
		}
		answers[i] = allows(pods[i])
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]any{"answers": answers}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var how string
		var millis int
		if _, err := fmt.Sscan(strings.TrimSpace(lines.Text()), &how, &millis); err != nil {
			return err
		}
		decisions := 0
		before := cpu()
		for until := time.Now().Add(time.Duration(millis) * time.Millisecond); decisions == 0 || time.Now().Before(until); {
			for i, pod := range pods {
				if how == "json" {
					if pod, err = decode(asked.Requests[i].Object); err != nil {
						return err
					}
				}
				if allows(pod) != answers[i] {
					return fmt.Errorf("request %d: another answer than before", i)
				}
			}
			decisions += len(pods)
		}
		spent := cpu() - before
		if err := out.Encode(map[string]any{"decisions": decisions, "cpuNanos": spent}); err != nil {
			return err
		}
	}
	return lines.Err()
}

func decode(object []byte) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, json.Unmarshal(object, pod)
}

// cpu is the CPU time of this process, all threads included, in nanoseconds.
func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
