package chain

import (
	"iod/key"
	"iod/metadata"
)

// Transfer is the call that sends an amount to an account and refuses to empty the sender's account.
func Transfer(dest key.AccountID, amount Planck) metadata.Call {
	return metadata.Call{Pallet: "Balances", Name: "transfer_keep_alive", Args: metadata.Fields{
		{Name: "dest", Value: dest}, {Name: "value", Value: amount.Big()},
	}}
}

// Remark is the call that does nothing but put data into a block, with an event that holds the data's hash.
func Remark(data []byte) metadata.Call {
	return metadata.Call{Pallet: "System", Name: "remark_with_event", Args: metadata.Fields{{Name: "remark", Value: data}}}
}

// Batch runs calls in order until one fails; those before it stay done, and the transaction succeeds all the same:
// the event Utility.BatchInterrupted tells (see Outcome.Failed).
func Batch(calls ...metadata.Call) metadata.Call { return batch("batch", calls) }

// BatchAll runs calls in order, all or none.
func BatchAll(calls ...metadata.Call) metadata.Call { return batch("batch_all", calls) }

// ForceBatch runs every call whatever becomes of the others: the events Utility.ItemFailed tell (see Outcome.Failed).
func ForceBatch(calls ...metadata.Call) metadata.Call { return batch("force_batch", calls) }

func batch(name string, calls []metadata.Call) metadata.Call {
	list := make([]any, len(calls))
	for i, c := range calls {
		list[i] = c
	}
	return metadata.Call{Pallet: "Utility", Name: name, Args: metadata.Fields{{Name: "calls", Value: list}}}
}
