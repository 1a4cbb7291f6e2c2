// The measured work done with go-nsq.
//
// The task is one JSON object as the only argument, the figures one JSON object on stdout: messages, CPU (user and
// system, by getrusage) and elapsed seconds from before the client connects until all is answered, latencies.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nsqio/go-nsq"
)

type task struct {
	Scenario    string  `json:"scenario"`
	Topic       string  `json:"topic"`
	Address     string  `json:"address"`
	Size        int     `json:"size"`
	Count       int64   `json:"count"`
	MaxInFlight int     `json:"max_in_flight"`
	Concurrency int     `json:"concurrency"`
	Wait        float64 `json:"wait"`
	Window      int     `json:"window"`
	Batch       int     `json:"batch"`
}

type figures struct {
	Count     int64     `json:"count"`
	CPU       float64   `json:"cpu"`
	Elapsed   float64   `json:"elapsed"`
	Latencies []float64 `json:"latencies"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("go-nsq: usage: compare-go-nsq TASK, a JSON object")
	}
	var work task
	check(json.Unmarshal([]byte(os.Args[1]), &work))
	do := map[string]func(task) []float64{
		"consume, sync handler":                 consumeSync,
		"consume, async handler that waits":     consumeWaiting,
		"publish, 1000 outstanding":             publishWindow,
		"publish, 1000 tasks":                   publishRoutines,
		"publish, batches of 100":               publishMany,
		"publish, batches of 100, 10 under way": publishManyWindow,
		"latency":                               latency,
	}[work.Scenario]
	if do == nil {
		log.Fatalf("go-nsq: no such scenario: %s", work.Scenario)
	}
	started, cpu := time.Now(), cpuSeconds()
	latencies := do(work)
	check(json.NewEncoder(os.Stdout).Encode(figures{
		Count:     work.Count,
		CPU:       cpuSeconds() - cpu,
		Elapsed:   time.Since(started).Seconds(),
		Latencies: latencies,
	}))
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func consume(work task, handlers int, handle func(*nsq.Message)) {
	config := nsq.NewConfig()
	config.MaxInFlight = work.MaxInFlight
	consumer, err := nsq.NewConsumer(work.Topic, "ch", config)
	check(err)
	consumer.SetLoggerLevel(nsq.LogLevelError)
	var seen atomic.Int64
	done := make(chan struct{})
	consumer.AddConcurrentHandlers(nsq.HandlerFunc(func(message *nsq.Message) error {
		handle(message)
		if seen.Add(1) == work.Count {
			close(done)
		}
		return nil
	}), handlers)
	check(consumer.ConnectToNSQD(work.Address))
	<-done
	consumer.Stop()
	<-consumer.StopChan
}

func consumeSync(work task) []float64 {
	consume(work, 2, func(*nsq.Message) {})
	return []float64{}
}

func consumeWaiting(work task) []float64 {
	wait := time.Duration(work.Wait * float64(time.Second))
	consume(work, work.Concurrency, func(*nsq.Message) { time.Sleep(wait) })
	return []float64{}
}

func latency(work task) []float64 {
	latencies := make([]float64, 0, work.Count)
	consume(work, 1, func(message *nsq.Message) {
		sent, err := strconv.ParseInt(string(message.Body), 10, 64)
		check(err)
		latencies = append(latencies, float64(time.Now().UnixNano()-sent)/1e9)
	})
	return latencies
}

func newProducer(work task) *nsq.Producer {
	producer, err := nsq.NewProducer(work.Address, nsq.NewConfig())
	check(err)
	producer.SetLoggerLevel(nsq.LogLevelError)
	return producer
}

func publishWindow(work task) []float64 {
	body := make([]byte, work.Size)
	return window(work, work.Count, func(producer *nsq.Producer, answers chan *nsq.ProducerTransaction) error {
		return producer.PublishAsync(work.Topic, body, answers)
	})
}

func publishManyWindow(work task) []float64 {
	bodies := makeBodies(work)
	count := work.Count / int64(work.Batch)
	return window(work, count, func(producer *nsq.Producer, answers chan *nsq.ProducerTransaction) error {
		return producer.MultiPublishAsync(work.Topic, bodies, answers)
	})
}

func window(work task, count int64, publish func(*nsq.Producer, chan *nsq.ProducerTransaction) error) []float64 {
	producer := newProducer(work)
	defer producer.Stop()
	answers := make(chan *nsq.ProducerTransaction, work.Window)
	outstanding := 0
	for sent := int64(0); sent < count; sent++ {
		if outstanding == work.Window {
			check((<-answers).Error)
			outstanding--
		}
		check(publish(producer, answers))
		outstanding++
	}
	for ; outstanding > 0; outstanding-- {
		check((<-answers).Error)
	}
	return []float64{}
}

func publishRoutines(work task) []float64 {
	producer, body := newProducer(work), make([]byte, work.Size)
	defer producer.Stop()
	var all sync.WaitGroup
	for range work.Window {
		all.Add(1)
		go func() {
			defer all.Done()
			for range work.Count / int64(work.Window) {
				check(producer.Publish(work.Topic, body))
			}
		}()
	}
	all.Wait()
	return []float64{}
}

func publishMany(work task) []float64 {
	producer := newProducer(work)
	defer producer.Stop()
	bodies := makeBodies(work)
	for range work.Count / int64(work.Batch) {
		check(producer.MultiPublish(work.Topic, bodies))
	}
	return []float64{}
}

func makeBodies(work task) [][]byte {
	bodies := make([][]byte, work.Batch)
	for i := range bodies {
		bodies[i] = make([]byte, work.Size)
	}
	return bodies
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-nsq:", err)
		os.Exit(1)
	}
}
