// Command pod-security asks the evaluator of Kubernetes' pod-security-admission about pods: the standard "restricted",
// at its latest version.
//
// It is asked for requests; [asked] tells how. To answer again, "decoded" begins with pods, "json" with bytes, which
// encoding/json decodes, as in a webhook that is written in Go.
package main

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"loadtest.gavel.dev/asked"
)

type questions struct {
	Requests []struct {
		Object json.RawMessage `json:"object"`
	} `json:"requests"`
}

var restricted = api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}

func main() {
	asked.Main(answer)
}

func answer(questions *questions) (*asked.Answered, error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, err
	}
	allows := func(pod *corev1.Pod) bool {
		return policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)).Allowed
	}
	requests := questions.Requests
	pods := make([]*corev1.Pod, len(requests))
	answers := make([]bool, len(requests))
	for i, request := range requests {
		if pods[i], err = decode(request.Object); err != nil {
			return nil, err
		}
		answers[i] = allows(pods[i])
	}
	again := func(how string, number int) (bool, error) {
		if how == "decoded" {
			return allows(pods[number]), nil
		}
		pod, err := decode(requests[number].Object)
		return err == nil && allows(pod), err
	}
	return &asked.Answered{Answers: answers, Again: again, AtOnce: len(answers)}, nil
}

func decode(object []byte) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, json.Unmarshal(object, pod)
}
