// Package asked is what the programs beside it have in common: how they are asked, and how they are measured.
//
// Such a program reads its questions from the file it is given, and prints all answers as a line of JSON. For every line
// it then reads, "HOW MILLISECONDS", it answers again and again for about so long, and prints how many it answered and
// how much CPU time that took, garbage collection included.
package asked

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Answered are questions that a program has answered once, and can answer again.
type Answered struct {
	Answers []bool
	// Again answers a question once more, by its number.
	Again func(how string, number int) (bool, error)
	// AtOnce tells how many are answered before the clock is looked at.
	AtOnce int
	// Ready, if there is something to make ready, is called before each so many. What it does does not count.
	Ready func(how string)
}

// Main is the whole of a program: answer is given what is in the file.
func Main[Questions any](answer func(*Questions) (*Answered, error)) {
	if err := run(answer); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}

func run[Questions any](answer func(*Questions) (*Answered, error)) error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: %s FILE", os.Args[0])
	}
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var questions Questions
	if err := json.Unmarshal(raw, &questions); err != nil {
		return err
	}
	answered, err := answer(&questions)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]any{"answers": answered.Answers}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var how string
		var millis int
		if _, err := fmt.Sscan(lines.Text(), &how, &millis); err != nil {
			return err
		}
		decisions, spent, err := answered.again(how, time.Duration(millis)*time.Millisecond)
		if err != nil {
			return err
		}
		if err := out.Encode(map[string]any{"decisions": decisions, "cpuNanos": spent}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// again answers for about so long: how many, and the CPU time in nanoseconds.
func (a *Answered) again(how string, window time.Duration) (decisions int, spent int64, err error) {
	began := cpu()
	for until := time.Now().Add(window); decisions == 0 || time.Now().Before(until); {
		// Only then: two looks at the CPU clock cost as much as a few of the cheapest answers.
		if a.Ready != nil {
			before := cpu()
			a.Ready(how)
			began += cpu() - before
		}
		for range a.AtOnce {
			number := decisions % len(a.Answers)
			allowed, err := a.Again(how, number)
			if err != nil {
				return 0, 0, err
			}
			if allowed != a.Answers[number] {
				return 0, 0, fmt.Errorf("question %d: another answer than before", number)
			}
			decisions++
		}
	}
	return decisions, cpu() - began, nil
}

// cpu is the CPU time of this process, all threads included, in nanoseconds.
func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
