// SPDX-License-Identifier: MIT

// Drive a machine by Firecracker's own SDK for Go.  What the SDK is told goes to the file FACTS, a line of JSON each.
//
//	usage: drive life FACTS KERNEL ROOT DATA TAP
//	       drive stop|fail FACTS KERNEL
//	       drive linux FACTS KERNEL INITRD CMDLINE DISK TAP
//
// Standard output is the guest's console, and a file: that is how we see that the guest is ready.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	firecracker "github.com/firecracker-microvm/firecracker-go-sdk"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/operations"
	"github.com/go-openapi/strfmt"
	"github.com/sirupsen/logrus"
)

const console = "/proc/self/fd/1"

var (
	facts    *os.File
	patience = 60 * time.Second
)

// Answers are held to what the SDK's description of the API says of them.
type answer interface {
	Validate(strfmt.Registry) error
}

func tell(name string, value interface{}) {
	text, err := json.Marshal(map[string]interface{}{name: value})
	must(name, err)
	_, err = fmt.Fprintf(facts, "%s\n", text)
	must(name, err)
}

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func answered(name string, value answer, err error) {
	must(name, err)
	must(name, value.Validate(strfmt.Default))
	tell(name, value)
}

// What the server says of a request that it refuses, as the SDK has it.
func refused(name string, err error) {
	var words string
	var start *operations.CreateSyncActionBadRequest
	var drive *operations.PatchGuestDriveByIDBadRequest

	switch {
	case errors.As(err, &start):
		words = start.Payload.FaultMessage
	case errors.As(err, &drive):
		words = drive.Payload.FaultMessage
	default:
		must(name, fmt.Errorf("not refused as the API refuses: %v", err))
	}
	tell(name, words)
}

func said(text, path string) bool {
	all, err := os.ReadFile(path)
	must(path, err)
	return strings.Contains(string(all), text)
}

func waitFor(text, path string) {
	for end := time.Now().Add(patience); !said(text, path); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			must(path, fmt.Errorf("no %q", text))
		}
	}
}

func machine(ctx context.Context, cfg firecracker.Config) *firecracker.Machine {
	logger := logrus.New()
	logger.SetLevel(logrus.WarnLevel)
	cfg.SocketPath = "api.sock"
	if cfg.MachineCfg.VcpuCount == nil {
		cfg.MachineCfg = models.MachineConfiguration{
			VcpuCount: firecracker.Int64(1), MemSizeMib: firecracker.Int64(128), Smt: firecracker.Bool(false)}
	}
	m, err := firecracker.NewMachine(ctx, cfg, firecracker.WithLogger(logrus.NewEntry(logger)))
	must("a new machine", err)
	return m
}

func limiter() *models.RateLimiter {
	bucket := firecracker.TokenBucketBuilder{}.WithBucketSize(1 << 20).WithRefillDuration(time.Second).Build()
	return firecracker.NewRateLimiter(bucket, bucket)
}

func life(ctx context.Context, kernel, root, data, tap string) {
	log, err := os.Create("log")
	must("the log", err)
	disks := firecracker.NewDrivesBuilder(root).
		AddDrive(data, true, firecracker.WithDriveID("data"), firecracker.WithRateLimiter(*limiter()),
			firecracker.WithCacheType("Writeback"), firecracker.WithIoEngine("Sync")).Build()
	m := machine(ctx, firecracker.Config{
		VMID: "by-go", KernelImagePath: kernel, KernelArgs: "console=ttyS0 reboot=k", Drives: disks,
		NetworkInterfaces: firecracker.NetworkInterfaces{{
			StaticConfiguration: &firecracker.StaticNetworkConfiguration{
				MacAddress: "02:00:00:00:00:07", HostDevName: tap},
			AllowMMDS: true, InRateLimiter: limiter(), OutRateLimiter: limiter()}},
		VsockDevices: []firecracker.VsockDevice{{ID: "stream", Path: "vsock.sock", CID: 3}},
		MmdsVersion:  firecracker.MMDSv2,
		LogFifo:      "log.fifo", LogLevel: "Info", FifoLogWriter: log,
	})
	m.Handlers.FcInit = m.Handlers.FcInit.Append(
		firecracker.NewSetMetadataHandler(map[string]interface{}{"latest": map[string]string{"name": "first"}}),
		firecracker.NewCreateBalloonHandler(8, true, 1))
	must("the start", m.Start(ctx))
	waitFor("ready", console)

	about(ctx, m)
	metadata(ctx, m)
	balloon(ctx, m)
	must("a rate", m.UpdateGuestNetworkInterfaceRateLimit(
		ctx, "1", firecracker.RateLimiterSet{InRateLimiter: limiter(), OutRateLimiter: limiter()}))

	must("pause", m.PauseVM(ctx))
	state(ctx, "paused", m)
	must("snapshot", m.CreateSnapshot(ctx, "memory", "state"))
	must("resume", m.ResumeVM(ctx))
	state(ctx, "resumed", m)
	otherDisk(ctx, m, root)
	refused("second start", secondStart(ctx))
	waitFor("Received Error. Status code: 400 Bad Request. Message: ", "log")

	must("shutdown", m.Shutdown(ctx))
	must("the end", m.Wait(ctx))
	again(ctx)
}

// Another process goes on from where the first was saved; a third one is to, and is given what is no memory.
func again(ctx context.Context) {
	m := restored(ctx, "memory")
	must("the restored one", m.Start(ctx))
	state(ctx, "restored", m)
	all, err := firecracker.NewClient(m.Cfg.SocketPath, m.Logger(), false).GetExportVMConfig()
	must("its configuration", err)
	answered("restored configuration", all.Payload, nil)
	must("its balloon", m.UpdateBalloon(ctx, 8))
	must("its disk", m.UpdateGuestDrive(ctx, "data", "other"))
	must("its metadata", m.SetMetadata(ctx, map[string]string{"name": "third"}))
	must("resume", m.ResumeVM(ctx))
	must("shutdown", m.Shutdown(ctx))
	must("the end", m.Wait(ctx))
	m = restored(ctx, "log")
	tell("no snapshot", fmt.Sprint(m.Start(ctx))) // whose kind the SDK does not keep
	tell("its end", fmt.Sprint(m.Wait(ctx)))
}

func restored(ctx context.Context, memory string) *firecracker.Machine {
	logger := logrus.New()
	logger.SetLevel(logrus.ErrorLevel)
	m, err := firecracker.NewMachine(ctx, firecracker.Config{SocketPath: "api.sock", VMID: "by-go"},
		firecracker.WithSnapshot(memory, "state"), firecracker.WithLogger(logrus.NewEntry(logger)))
	must("a restored machine", err)
	return m
}

// One that is free, and one that another drive has.
func otherDisk(ctx context.Context, m *firecracker.Machine, root string) {
	must("other", os.WriteFile("other", make([]byte, 4096), 0600))
	must("other disk", m.UpdateGuestDrive(ctx, "data", "other"))
	all, err := firecracker.NewClient(m.Cfg.SocketPath, m.Logger(), false).GetExportVMConfig()
	must("other disk", err)
	tell("other disk", all.Payload.Drives[1].PathOnHost)
	refused("busy disk", m.UpdateGuestDrive(ctx, "data", root))
}

func about(ctx context.Context, m *firecracker.Machine) {
	version, err := m.GetFirecrackerVersion(ctx)
	must("version", err)
	tell("version", version)
	client := firecracker.NewClient(m.Cfg.SocketPath, m.Logger(), false)
	config, err := client.GetMachineConfiguration()
	must("machine", err)
	answered("machine", config.Payload, nil)
	all, err := client.GetExportVMConfig()
	must("configuration", err)
	answered("configuration", all.Payload, nil)
	state(ctx, "running", m)
	_, err = os.Stat("vsock.sock")
	must("the socket of streams", err)
}

func state(ctx context.Context, name string, m *firecracker.Machine) {
	info, err := m.DescribeInstanceInfo(ctx)
	answered(name, &info, err)
}

func metadata(ctx context.Context, m *firecracker.Machine) {
	var value interface{}

	must("metadata", m.UpdateMetadata(ctx, map[string]interface{}{"latest": map[string]string{"more": "second"}}))
	must("metadata", m.GetMetadata(ctx, &value))
	tell("metadata", value)
}

func balloon(ctx context.Context, m *firecracker.Machine) {
	before, err := m.GetBalloonConfig(ctx)
	answered("balloon", &before, err)
	must("balloon", m.UpdateBalloon(ctx, 16))
	must("balloon", m.UpdateBalloonStats(ctx, 2))
	after, err := m.GetBalloonConfig(ctx)
	answered("larger balloon", &after, err)
	stats, err := m.GetBalloonStats(ctx)
	answered("statistics", &stats, err)
}

func secondStart(ctx context.Context) error {
	action := models.InstanceActionInfoActionTypeInstanceStart
	client := firecracker.NewClient("api.sock", logrus.NewEntry(logrus.New()), false)
	_, err := client.CreateSyncAction(ctx, &models.InstanceActionInfo{ActionType: &action})
	return err
}

// End a guest from outside, as the SDK does: by a signal.
func stop(ctx context.Context, kernel string) {
	m := machine(ctx, firecracker.Config{KernelImagePath: kernel})
	must("the start", m.Start(ctx))
	waitFor("ready", console)
	must("stop", m.StopVMM())
	err := m.Wait(ctx)
	must("the end", ctx.Err())
	tell("ended", fmt.Sprint(err))
}

// A machine that cannot start: the SDK hears why, and may end it.
func fail(ctx context.Context, kernel string) {
	m := machine(ctx, firecracker.Config{KernelImagePath: kernel})
	refused("start", m.Start(ctx))
	must("stop", m.StopVMM())
	m.Wait(ctx)
	must("the end", ctx.Err())
}

func main() {
	var err error

	facts, err = os.Create(os.Args[2])
	must("the facts", err)
	if os.Args[1] == "linux" {
		patience = 1000 * time.Second // it runs where all is slow
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kernel, err := filepath.Abs(os.Args[3])
	must("the kernel", err)
	switch os.Args[1] {
	case "life":
		life(ctx, kernel, os.Args[4], os.Args[5], os.Args[6])
	case "linux":
		linux(ctx, kernel, os.Args[4], os.Args[5], os.Args[6], os.Args[7])
	case "stop":
		stop(ctx, kernel)
	case "fail":
		fail(ctx, kernel)
	}
	tell("done", true)
}
