package devchain

// Types of the Timestamp, Balances, TransactionPayment and Utility pallets, and of extrinsics.
var (
	timestampCallT = enum("pallet_timestamp::pallet::Call",
		v(0, "set", f("now", compact(u64T), "T::Moment")),
	).param("T", nil)
	reasonsT = enum("pallet_balances::Reasons",
		v(0, "Fee"),
		v(1, "Misc"),
		v(2, "All"),
	)
	balanceLockT = composite("pallet_balances::BalanceLock",
		f("id", array(8, u8T), "LockIdentifier"),
		f("amount", u128T, "Balance"),
		f("reasons", reasonsT, "Reasons")).
		param("Balance", u128T)
	weakBoundedVecT = composite("sp_runtime::bounded::weak_bounded_vec::WeakBoundedVec",
		f("", seq(balanceLockT), "Vec<T>")).
		param("T", balanceLockT).
		param("S", nil)
	reserveDataT = composite("pallet_balances::ReserveData",
		f("id", array(8, u8T), "ReserveIdentifier"),
		f("amount", u128T, "Balance")).
		param("ReserveIdentifier", array(8, u8T)).
		param("Balance", u128T)
	boundedVecT = composite("sp_runtime::bounded::bounded_vec::BoundedVec", f("", seq(reserveDataT), "Vec<T>")).param("T", reserveDataT).param("S", nil)
	releasesT   = enum("pallet_balances::Releases",
		v(0, "V1_0_0"),
		v(1, "V2_0_0"),
	)
	multiAddressT = enum("sp_runtime::multiaddress::MultiAddress",
		v(0, "Id", f("", accountId32T, "AccountId")),
		v(1, "Index", f("", compact(u32T), "AccountIndex")),
		v(2, "Raw", f("", bytesT, "Vec<u8>")),
		v(3, "Address32", f("", bytes32T, "[u8; 32]")),
		v(4, "Address20", f("", array(20, u8T), "[u8; 20]")),
	).param("AccountId", accountId32T).param("AccountIndex", u32T)
	balancesCallT = enum("pallet_balances::pallet::Call",
		v(0, "transfer", f("dest", multiAddressT, "AccountIdLookupOf<T>"), f("value", compact(u128T), "T::Balance")),
		v(1, "set_balance",
			f("who", multiAddressT, "AccountIdLookupOf<T>"),
			f("new_free", compact(u128T), "T::Balance"),
			f("new_reserved", compact(u128T), "T::Balance")),
		v(2, "force_transfer",
			f("source", multiAddressT, "AccountIdLookupOf<T>"),
			f("dest", multiAddressT, "AccountIdLookupOf<T>"),
			f("value", compact(u128T), "T::Balance")),
		v(3, "transfer_keep_alive", f("dest", multiAddressT, "AccountIdLookupOf<T>"), f("value", compact(u128T), "T::Balance")),
		v(4, "transfer_all", f("dest", multiAddressT, "AccountIdLookupOf<T>"), f("keep_alive", boolT, "bool")),
		v(5, "force_unreserve", f("who", multiAddressT, "AccountIdLookupOf<T>"), f("amount", u128T, "T::Balance")),
	).param("T", nil).param("I", nil)
	balanceStatusT = enum("frame_support::traits::tokens::misc::BalanceStatus",
		v(0, "Free"),
		v(1, "Reserved"),
	)
	balancesEventT = enum("pallet_balances::pallet::Event",
		v(0, "Endowed", f("account", accountId32T, "T::AccountId"), f("free_balance", u128T, "T::Balance")),
		v(1, "DustLost", f("account", accountId32T, "T::AccountId"), f("amount", u128T, "T::Balance")),
		v(2, "Transfer", f("from", accountId32T, "T::AccountId"), f("to", accountId32T, "T::AccountId"), f("amount", u128T, "T::Balance")),
		v(3, "BalanceSet", f("who", accountId32T, "T::AccountId"), f("free", u128T, "T::Balance"), f("reserved", u128T, "T::Balance")),
		v(4, "Reserved", f("who", accountId32T, "T::AccountId"), f("amount", u128T, "T::Balance")),
		v(5, "Unreserved", f("who", accountId32T, "T::AccountId"), f("amount", u128T, "T::Balance")),
		v(6, "ReserveRepatriated",
			f("from", accountId32T, "T::AccountId"),
			f("to", accountId32T, "T::AccountId"),
			f("amount", u128T, "T::Balance"),
			f("destination_status", balanceStatusT, "Status")),
		v(7, "Deposit", f("who", accountId32T, "T::AccountId"), f("amount", u128T, "T::Balance")),
		v(8, "Withdraw", f("who", accountId32T, "T::AccountId"), f("amount", u128T, "T::Balance")),
		v(9, "Slashed", f("who", accountId32T, "T::AccountId"), f("amount", u128T, "T::Balance")),
	).param("T", nil).param("I", nil)
	balancesErrorT = enum("pallet_balances::pallet::Error",
		v(0, "VestingBalance"),
		v(1, "LiquidityRestrictions"),
		v(2, "InsufficientBalance"),
		v(3, "ExistentialDeposit"),
		v(4, "KeepAlive"),
		v(5, "ExistingVestingSchedule"),
		v(6, "DeadAccount"),
		v(7, "TooManyReserves"),
	).param("T", nil).param("I", nil)
	fixedU128T   = composite("sp_arithmetic::fixed_point::FixedU128", f("", u128T, "u128"))
	feeReleasesT = enum("pallet_transaction_payment::Releases",
		v(0, "V1Ancient"),
		v(1, "V2"),
	)
	transactionPaymentEventT = enum("pallet_transaction_payment::pallet::Event",
		v(0, "TransactionFeePaid", f("who", accountId32T, "T::AccountId"), f("actual_fee", u128T, "BalanceOf<T>"), f("tip", u128T, "BalanceOf<T>")),
	).param("T", nil)
	utilityCallT = enum("pallet_utility::pallet::Call",
		v(0, "batch", f("calls", seq(callT), "Vec<<T as Config>::Call>")),
		v(1, "as_derivative", f("index", u16T, "u16"), f("call", callT, "Box<<T as Config>::Call>")),
		v(2, "batch_all", f("calls", seq(callT), "Vec<<T as Config>::Call>")),
		v(3, "dispatch_as", f("as_origin", originT, "Box<T::PalletsOrigin>"), f("call", callT, "Box<<T as Config>::Call>")),
		v(4, "force_batch", f("calls", seq(callT), "Vec<<T as Config>::Call>")),
	).param("T", nil)
	resultT = enum("Result",
		v(0, "Ok", f("", tuple(), "")),
		v(1, "Err", f("", dispatchErrorT, "")),
	).param("T", tuple()).param("E", dispatchErrorT)
	utilityEventT = enum("pallet_utility::pallet::Event",
		v(0, "BatchInterrupted", f("index", u32T, "u32"), f("error", dispatchErrorT, "DispatchError")),
		v(1, "BatchCompleted"),
		v(2, "BatchCompletedWithErrors"),
		v(3, "ItemCompleted"),
		v(4, "ItemFailed", f("error", dispatchErrorT, "DispatchError")),
		v(5, "DispatchedAs", f("result", resultT, "DispatchResult")),
	)
	utilityErrorT = enum("pallet_utility::pallet::Error",
		v(0, "TooManyCalls"),
	).param("T", nil)

	checkSpecVersionT         = composite("frame_system::extensions::check_spec_version::CheckSpecVersion").param("T", nil)
	checkTxVersionT           = composite("frame_system::extensions::check_tx_version::CheckTxVersion").param("T", nil)
	checkGenesisT             = composite("frame_system::extensions::check_genesis::CheckGenesis").param("T", nil)
	eraT                      = enum("sp_runtime::generic::era::Era", eras()...)
	checkMortalityT           = composite("frame_system::extensions::check_mortality::CheckMortality", f("", eraT, "Era")).param("T", nil)
	checkNonceT               = composite("frame_system::extensions::check_nonce::CheckNonce", f("", compact(u32T), "T::Index")).param("T", nil)
	checkWeightT              = composite("frame_system::extensions::check_weight::CheckWeight").param("T", nil)
	chargeTransactionPaymentT = composite("pallet_transaction_payment::ChargeTransactionPayment", f("", compact(u128T), "BalanceOf<T>")).param("T", nil)
	ed25519SignatureT         = composite("sp_core::ed25519::Signature", f("", array(64, u8T), "[u8; 64]"))
	sr25519SignatureT         = composite("sp_core::sr25519::Signature", f("", array(64, u8T), "[u8; 64]"))
	ecdsaSignatureT           = composite("sp_core::ecdsa::Signature", f("", array(65, u8T), "[u8; 65]"))
	multiSignatureT           = enum("sp_runtime::MultiSignature",
		v(0, "Ed25519", f("", ed25519SignatureT, "ed25519::Signature")),
		v(1, "Sr25519", f("", sr25519SignatureT, "sr25519::Signature")),
		v(2, "Ecdsa", f("", ecdsaSignatureT, "ecdsa::Signature")),
	)
)
