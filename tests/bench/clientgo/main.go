// Command clientgo does with client-go what the benchmarks measure: a dynamic informer with its
// cache, a typed work queue and ten workers whose handler does nothing.
//
// Usage: clientgo KUBECONFIG GROUP/VERSION/PLURAL MODE COUNT. Prints one JSON object of figures in
// seconds, KB and milliseconds; the caller divides.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

const workers = 10

type figures map[string]float64

type bench struct {
	client   dynamic.Interface
	resource schema.GroupVersionResource
	count    int
}

// clock runs from start to stop, in processor time of all threads and on the wall.
type clock struct {
	once sync.Once
	wall time.Time
	cpu  float64
}

func main() {
	if len(os.Args) != 5 {
		fail(fmt.Errorf("usage: clientgo KUBECONFIG GROUP/VERSION/PLURAL MODE COUNT"))
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	fail(err)
	config.UserAgent = "bench"
	client, err := dynamic.NewForConfig(config)
	fail(err)
	names := strings.Split(os.Args[2], "/")
	count, err := strconv.Atoi(os.Args[4])
	fail(err)
	b := &bench{client, schema.GroupVersionResource{Group: names[0], Version: names[1], Resource: names[2]}, count}
	modes := map[string]func() figures{
		"watch": b.watch, "events": b.events, "list": b.list, "idle": b.idle, "paced": b.paced,
	}
	mode, known := modes[os.Args[3]]
	if !known {
		fail(fmt.Errorf("no such mode: %s", os.Args[3]))
	}
	fail(json.NewEncoder(os.Stdout).Encode(mode()))
}

// watch reads events without a cache: type, namespace, name and version of each.
func (b *bench) watch() figures {
	watcher, err := b.client.Resource(b.resource).Watch(context.Background(), metav1.ListOptions{ResourceVersion: "1"})
	fail(err)
	var c clock
	seen := 0
	for event := range watcher.ResultChan() {
		if event.Type == "ERROR" {
			fail(errors.FromObject(event.Object))
		}
		object := event.Object.(metav1.Object)
		c.start()
		_, _, _ = object.GetNamespace(), object.GetName(), object.GetResourceVersion()
		if seen++; seen == b.count {
			return c.stop()
		}
	}
	fail(fmt.Errorf("the watch ended after %d events", seen))
	return nil
}

// events takes every event through cache, queue and workers.
func (b *bench) events() figures {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	var c clock
	var handled, working atomic.Int64
	done := make(chan figures, 1)
	informer := b.informer(b.resource)
	_, err := informer.AddEventHandler(enqueue(func(key string) {
		c.start()
		queue.Add(key)
		handled.Add(1)
	}))
	fail(err)
	for range workers {
		go func() {
			for {
				key, closed := queue.Get()
				if closed {
					return
				}
				working.Add(1)
				queue.Forget(key)
				queue.Done(key)
				if working.Add(-1) == 0 && queue.Len() == 0 && handled.Load() >= int64(b.count) {
					select {
					case done <- c.stop():
					default:
					}
				}
			}
		}()
	}
	go informer.Run(make(chan struct{}))
	return <-done
}

// list fills a cache; what it holds afterwards is counted after a collection.
func (b *bench) list() figures {
	before := resident()
	var c clock
	informer := b.informer(b.resource)
	c.start()
	go informer.Run(make(chan struct{}))
	wait(informer)
	made := c.stop()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	for _, pause := range memory.PauseNs {
		made["collector"] = max(made["collector"], float64(pause)/1e6)
	}
	made["resident"] = resident() - before
	if got := len(informer.GetStore().ListKeys()); got != b.count {
		fail(fmt.Errorf("%d objects instead of %d", got, b.count))
	}
	runtime.KeepAlive(informer)
	return made
}

// idle keeps fifty watches open for COUNT seconds; kinds are numbered.
func (b *bench) idle() figures {
	for number := range 50 {
		resource := b.resource
		resource.Resource = fmt.Sprintf("%s%d", resource.Resource, number)
		informer := b.informer(resource)
		go informer.Run(make(chan struct{}))
		wait(informer)
	}
	var c clock
	c.start()
	time.Sleep(time.Duration(b.count) * time.Second)
	return c.stop()
}

// paced measures how old events are when a worker has them; their version is their birth.
func (b *bench) paced() figures {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	var c clock
	ages := make(chan float64, b.count)
	informer := b.informer(b.resource)
	_, err := informer.AddEventHandler(enqueue(func(key string) {
		c.start()
		queue.Add(key)
	}))
	fail(err)
	for range workers {
		go func() {
			for {
				key, closed := queue.Get()
				if closed {
					return
				}
				object, _, _ := informer.GetStore().GetByKey(key)
				born, err := strconv.ParseInt(object.(metav1.Object).GetResourceVersion(), 10, 64)
				fail(err)
				ages <- float64(time.Now().UnixNano()-born) / 1e6
				queue.Forget(key)
				queue.Done(key)
			}
		}()
	}
	go informer.Run(make(chan struct{}))
	all := make([]float64, b.count)
	for number := range all {
		all[number] = <-ages
	}
	made := c.stop()
	sort.Float64s(all)
	made["p50"], made["p99"] = all[b.count/2], all[b.count*99/100]
	return made
}

func (b *bench) informer(resource schema.GroupVersionResource) cache.SharedIndexInformer {
	return dynamicinformer.NewDynamicSharedInformerFactory(b.client, 0).ForResource(resource).Informer()
}

func enqueue(add func(string)) cache.ResourceEventHandler {
	each := func(object any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		fail(err)
		add(key)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: each, DeleteFunc: each, UpdateFunc: func(_, object any) { each(object) },
	}
}

func wait(informer cache.SharedIndexInformer) {
	for !informer.HasSynced() {
		time.Sleep(time.Millisecond)
	}
}

func (c *clock) start() { c.once.Do(func() { c.wall, c.cpu = time.Now(), cpu() }) }

func (c *clock) stop() figures {
	return figures{"cpu": cpu() - c.cpu, "wall": time.Since(c.wall).Seconds()}
}

func cpu() float64 {
	var usage syscall.Rusage
	fail(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func resident() float64 {
	debug.FreeOSMemory()
	content, err := os.ReadFile("/proc/self/statm")
	fail(err)
	pages, err := strconv.ParseFloat(strings.Fields(string(content))[1], 64)
	fail(err)
	return pages * float64(os.Getpagesize()) / 1024
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
