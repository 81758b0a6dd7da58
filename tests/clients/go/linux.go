// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"

	firecracker "github.com/firecracker-microvm/firecracker-go-sdk"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"
)

// What a Linux that has drivers for all of it is given.  It says on its console how far it is.
func linux(ctx context.Context, kernel, initrd, args, disk, tap string) {
	m := machine(ctx, firecracker.Config{
		VMID: "by-go", KernelImagePath: kernel, InitrdPath: initrd, KernelArgs: args,
		MachineCfg: models.MachineConfiguration{
			VcpuCount: firecracker.Int64(2), MemSizeMib: firecracker.Int64(256), Smt: firecracker.Bool(false)},
		Drives: []models.Drive{{
			DriveID: firecracker.String("data"), PathOnHost: firecracker.String(disk),
			IsRootDevice: firecracker.Bool(false), IsReadOnly: firecracker.Bool(false)}},
		NetworkInterfaces: firecracker.NetworkInterfaces{{
			StaticConfiguration: &firecracker.StaticNetworkConfiguration{
				MacAddress: "02:00:00:00:00:07", HostDevName: tap},
			AllowMMDS: true}},
		VsockDevices: []firecracker.VsockDevice{{ID: "stream", Path: "vsock", CID: 3}},
		MmdsVersion:  firecracker.MMDSv2,
	})
	m.Handlers.FcInit = m.Handlers.FcInit.Append(
		firecracker.NewSetMetadataHandler(named("first")), firecracker.NewCreateBalloonHandler(8, true, 1))
	must("the start", m.Start(ctx))

	waitFor("@@ nic ", console)
	pauses(ctx, m)
	waitFor("@@ metadata inner/ name first", console)
	must("metadata", m.UpdateMetadata(ctx, named("second")))
	waitFor("@@ ready button", console)
	inflate(ctx, m)
	must("shutdown", m.Shutdown(ctx))
	must("the end", m.Wait(ctx))
}

func named(name string) interface{} {
	data := map[string]interface{}{"name": name, "inner": map[string]string{"a": "b"}}
	return map[string]interface{}{"latest": map[string]interface{}{"meta-data": data}}
}

// Again and again, while the guest is at its network and its disk.
func pauses(ctx context.Context, m *firecracker.Machine) {
	n := 0
	for ; n == 0 || !said("@@ filled ", console); n++ {
		must("pause", m.PauseVM(ctx))
		must("resume", m.ResumeVM(ctx))
		time.Sleep(time.Second) // in which it is to get on
	}
	tell("pauses", n)
}

// The guest gives what it is asked for, and tells how it fares.
func inflate(ctx context.Context, m *firecracker.Machine) {
	must("balloon", m.UpdateBalloon(ctx, 32))
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		stats, err := m.GetBalloonStats(ctx)
		must("statistics", err)
		if (*stats.ActualMib == 32 && stats.TotalMemory > 0) || time.Now().After(end) {
			answered("statistics", &stats, nil)
			return
		}
	}
}
