package provision

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"iod/access"
	"iod/chain"
	"iod/document"
	"iod/pallet/did"
)

// reconcile publishes the document and then keeps it as it should be: on each change of the document or of the owner's
// vouch it looks again, and before the validity ends.
func (d *Device) reconcile(ctx context.Context, client *chain.Client) error {
	recheck, err := d.publishStubbornly(ctx, client)
	if err != nil {
		return err
	}
	for {
		keys, err := d.watchedKeys(ctx, client)
		if err != nil {
			if err := d.pause(ctx, firstRetry, err); err != nil {
				return err
			}
			continue
		}
		watch, stop := context.WithTimeout(ctx, recheck)
		for change, err := range client.WatchStorage(watch, keys) {
			if err != nil {
				break
			}
			if !d.concerns(change) {
				continue
			}
			if recheck, err = d.publishStubbornly(ctx, client); err != nil {
				stop()
				return err
			}
		}
		stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if recheck, err = d.publishStubbornly(ctx, client); err != nil {
			return err
		}
	}
}

// watchedKeys are the storage keys that the document depends on.
func (d *Device) watchedKeys(ctx context.Context, client *chain.Client) ([][]byte, error) {
	b, err := client.Best(ctx)
	if err != nil {
		return nil, err
	}
	m, err := b.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	own, err := did.StorageKey(m, d.account, document.DeviceAttribute)
	if err != nil {
		return nil, fmt.Errorf("storage key of the document: %w", err)
	}
	keys := [][]byte{own}
	if d.owner != d.account {
		vouch, err := did.StorageKey(m, d.owner, access.VouchAttribute(d.account))
		if err != nil {
			return nil, fmt.Errorf("storage key of the vouch: %w", err)
		}
		keys = append(keys, vouch)
	}
	return keys, nil
}

// concerns reports whether a change is of anything but the device's own doing.
func (d *Device) concerns(change chain.StorageChange) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, kv := range change.Changes {
		if d.raw == nil || !bytes.Contains(kv.Value, d.raw) {
			return true
		}
	}
	return false
}

// publishStubbornly brings the chain in step with the manifest, however often that has to be tried, and returns when to
// look again without any change.
func (d *Device) publishStubbornly(ctx context.Context, client *chain.Client) (time.Duration, error) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		recheck, err := d.publish(ctx, client)
		if err == nil {
			return recheck, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err := d.pause(ctx, wait, err); err != nil {
			return 0, err
		}
	}
}

// never is when a document without an end of validity has to be looked at again.
const never = 365 * 24 * time.Hour

// publish compares once, with the best block so that a stranger's change is healed within a block, and applies.
func (d *Device) publish(ctx context.Context, client *chain.Client) (time.Duration, error) {
	b, err := client.Best(ctx)
	if err != nil {
		return 0, err
	}
	actual, err := Observe(ctx, b, d.o.Manifest, d.account)
	if err != nil {
		return 0, err
	}
	plan, err := MakePlan(d.o.Manifest, d.account, d.node.ID(), actual)
	if err != nil {
		return 0, err
	}
	recheck := d.recheck(ctx, client, b, actual.Time)
	if plan.Empty() {
		d.remember(actual)
		d.log.Info(MsgUpToDate, "number", b.Number)
		return recheck, nil
	}
	if d.foreign(actual) {
		d.log.Error(MsgConflict, "reason", "another iod device run publishes with this device's key; this one publishes no more",
			"hint", "give each device a key of its own, or stop one of the two")
		return recheck, nil
	}
	if err := d.mayHeal(ctx, plan); err != nil {
		return 0, err
	}
	done, err := Apply(ctx, client, d.o.Key, plan)
	if err != nil {
		return 0, err
	}
	d.published(plan, done)
	return recheck, nil
}

// remember takes the document that stands on the chain as this device's own.
func (d *Device) remember(actual Actual) {
	if actual.Attribute == nil {
		return
	}
	got, verdict, err := document.ReadDevice(d.account, document.DeviceAttribute, actual.Attribute.Value)
	if err != nil || verdict.State != document.Verified {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.raw, d.sequence = actual.Attribute.Value, got.Sequence
}

// foreign reports whether the chain holds a genuine, newer document of this account that this process did not write: a
// second provisioner with the same key. Before this process has published anything it is not: the newest start wins.
func (d *Device) foreign(actual Actual) bool {
	if actual.Attribute == nil {
		return false
	}
	got, verdict, err := document.ReadDevice(d.account, document.DeviceAttribute, actual.Attribute.Value)
	d.mu.Lock()
	defer d.mu.Unlock()
	return err == nil && verdict.State == document.Verified && d.raw != nil && got.Sequence > d.sequence && !bytes.Equal(actual.Attribute.Value, d.raw)
}

// mayHeal bounds how often strangers can make the device pay: after MaxHeals in an hour it waits.
func (d *Device) mayHeal(ctx context.Context, p *Plan) error {
	d.mu.Lock()
	first := d.raw == nil
	d.mu.Unlock()
	if first || !p.Publish {
		return nil
	}
	d.log.Warn(MsgDisturbed, "reason", p.Reason)
	now := time.Now()
	d.mu.Lock()
	for len(d.heals) > 0 && now.Sub(d.heals[0]) > time.Hour {
		d.heals = d.heals[1:]
	}
	wait := time.Duration(0)
	if len(d.heals) >= d.o.Manifest.MaxHeals && len(d.heals) > 0 {
		wait = time.Hour - now.Sub(d.heals[0])
	}
	d.mu.Unlock()
	if wait > 0 {
		d.log.Warn("document was disturbed too often in an hour; waiting to spare fees", "wait", wait.Round(time.Second).String())
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	d.heals = append(d.heals, time.Now())
	d.mu.Unlock()
	return nil
}

func (d *Device) published(p *Plan, done *Applied) {
	if done.Raw != nil {
		d.mu.Lock()
		d.raw, d.sequence = done.Raw, p.device.Sequence
		d.mu.Unlock()
	}
	names := make([]string, len(p.Changes))
	for i, c := range p.Changes {
		names[i] = c.Field
	}
	d.log.Info(MsgPublished, "did", d.account.DID(), "number", done.Outcome.Number, "block", done.Outcome.Block.String(),
		"fee_planck", done.Outcome.Fee.String(), "took", done.Took.Round(time.Millisecond).String(), "reason", p.Reason, "changes", names)
}

// recheck is when a document whose validity ends should be looked at again: three times within it, by the chain's own
// pace of late.
func (d *Device) recheck(ctx context.Context, client *chain.Client, b *chain.Block, now time.Time) time.Duration {
	valid := d.o.Manifest.Device.ValidFor
	const sample = 100
	if valid == 0 || b.Number <= sample {
		if valid == 0 {
			return never
		}
		return max(time.Duration(valid)*time.Second/3, time.Second)
	}
	pace := 6 * time.Second
	if old, err := client.BlockByNumber(ctx, b.Number-sample); err == nil {
		if then, err := old.Time(ctx); err == nil {
			pace = min(max(now.Sub(then)/sample, 100*time.Millisecond), time.Minute)
		}
	}
	return max(time.Duration(valid)*pace/3, time.Second)
}
