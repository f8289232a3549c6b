package devchain

// Types of the System pallet and of every pallet's dispatch, with the paths, names and indices of peaq's runtime.
var (
	accountId32T = composite("sp_core::crypto::AccountId32", f("", bytes32T, "[u8; 32]"))
	accountDataT = composite("pallet_balances::AccountData",
		f("free", u128T, "Balance"),
		f("reserved", u128T, "Balance"),
		f("misc_frozen", u128T, "Balance"),
		f("fee_frozen", u128T, "Balance")).
		param("Balance", u128T)
	accountInfoT = composite("frame_system::AccountInfo",
		f("nonce", u32T, "Index"),
		f("consumers", u32T, "RefCount"),
		f("providers", u32T, "RefCount"),
		f("sufficients", u32T, "RefCount"),
		f("data", accountDataT, "AccountData")).
		param("Index", u32T).
		param("AccountData", accountDataT)
	weightT           = composite("frame_support::weights::weight_v2::Weight", f("ref_time", u64T, "u64"))
	perDispatchClassT = composite("frame_support::weights::PerDispatchClass",
		f("normal", weightT, "T"),
		f("operational", weightT, "T"),
		f("mandatory", weightT, "T")).
		param("T", weightT)
	h256T       = composite("primitive_types::H256", f("", bytes32T, "[u8; 32]"))
	digestItemT = enum("sp_runtime::generic::digest::DigestItem",
		v(6, "PreRuntime", f("", array(4, u8T), "ConsensusEngineId"), f("", bytesT, "Vec<u8>")),
		v(4, "Consensus", f("", array(4, u8T), "ConsensusEngineId"), f("", bytesT, "Vec<u8>")),
		v(5, "Seal", f("", array(4, u8T), "ConsensusEngineId"), f("", bytesT, "Vec<u8>")),
		v(0, "Other", f("", bytesT, "Vec<u8>")),
		v(8, "RuntimeEnvironmentUpdated"),
	)
	digestT = composite("sp_runtime::generic::digest::Digest", f("logs", seq(digestItemT), "Vec<DigestItem>"))
	phaseT  = enum("frame_system::Phase",
		v(0, "ApplyExtrinsic", f("", u32T, "u32")),
		v(1, "Finalization"),
		v(2, "Initialization"),
	)
	eventRecordT = composite("frame_system::EventRecord",
		f("phase", phaseT, "Phase"),
		f("event", eventT, "E"),
		f("topics", seq(h256T), "Vec<T>")).
		param("E", eventT).
		param("T", h256T)
	lastRuntimeUpgradeInfoT = composite("frame_system::LastRuntimeUpgradeInfo",
		f("spec_version", compact(u32T), "codec::Compact<u32>"),
		f("spec_name", strT, "sp_runtime::RuntimeString"))
	perbillT    = composite("sp_arithmetic::per_things::Perbill", f("", u32T, "u32"))
	systemCallT = enum("frame_system::pallet::Call",
		v(0, "fill_block", f("ratio", perbillT, "Perbill")),
		v(1, "remark", f("remark", bytesT, "Vec<u8>")),
		v(2, "set_heap_pages", f("pages", u64T, "u64")),
		v(3, "set_code", f("code", bytesT, "Vec<u8>")),
		v(4, "set_code_without_checks", f("code", bytesT, "Vec<u8>")),
		v(5, "set_storage", f("items", seq(tuple(bytesT, bytesT)), "Vec<KeyValue>")),
		v(6, "kill_storage", f("keys", seq(bytesT), "Vec<Key>")),
		v(7, "kill_prefix", f("prefix", bytesT, "Key"), f("subkeys", u32T, "u32")),
		v(8, "remark_with_event", f("remark", bytesT, "Vec<u8>")),
	).param("T", nil)
	dispatchClassT = enum("frame_support::weights::DispatchClass",
		v(0, "Normal"),
		v(1, "Operational"),
		v(2, "Mandatory"),
	)
	paysT = enum("frame_support::weights::Pays",
		v(0, "Yes"),
		v(1, "No"),
	)
	dispatchInfoT = composite("frame_support::weights::DispatchInfo",
		f("weight", weightT, "Weight"),
		f("class", dispatchClassT, "DispatchClass"),
		f("pays_fee", paysT, "Pays"))
	moduleErrorT = composite("sp_runtime::ModuleError", f("index", u8T, "u8"), f("error", array(4, u8T), "[u8; MAX_MODULE_ERROR_ENCODED_SIZE]"))
	tokenErrorT  = enum("sp_runtime::TokenError",
		v(0, "NoFunds"),
		v(1, "WouldDie"),
		v(2, "BelowMinimum"),
		v(3, "CannotCreate"),
		v(4, "UnknownAsset"),
		v(5, "Frozen"),
		v(6, "Unsupported"),
	)
	arithmeticErrorT = enum("sp_runtime::ArithmeticError",
		v(0, "Underflow"),
		v(1, "Overflow"),
		v(2, "DivisionByZero"),
	)
	transactionalErrorT = enum("sp_runtime::TransactionalError",
		v(0, "LimitReached"),
		v(1, "NoLayer"),
	)
	dispatchErrorT = enum("sp_runtime::DispatchError",
		v(0, "Other"),
		v(1, "CannotLookup"),
		v(2, "BadOrigin"),
		v(3, "Module", f("", moduleErrorT, "ModuleError")),
		v(4, "ConsumerRemaining"),
		v(5, "NoProviders"),
		v(6, "TooManyConsumers"),
		v(7, "Token", f("", tokenErrorT, "TokenError")),
		v(8, "Arithmetic", f("", arithmeticErrorT, "ArithmeticError")),
		v(9, "Transactional", f("", transactionalErrorT, "TransactionalError")),
	)
	systemEventT = enum("frame_system::pallet::Event",
		v(0, "ExtrinsicSuccess", f("dispatch_info", dispatchInfoT, "DispatchInfo")),
		v(1, "ExtrinsicFailed", f("dispatch_error", dispatchErrorT, "DispatchError"), f("dispatch_info", dispatchInfoT, "DispatchInfo")),
		v(2, "CodeUpdated"),
		v(3, "NewAccount", f("account", accountId32T, "T::AccountId")),
		v(4, "KilledAccount", f("account", accountId32T, "T::AccountId")),
		v(5, "Remarked", f("sender", accountId32T, "T::AccountId"), f("hash", h256T, "T::Hash")),
	).param("T", nil)
	systemErrorT = enum("frame_system::pallet::Error",
		v(0, "InvalidSpecName"),
		v(1, "SpecVersionNeedsToIncrease"),
		v(2, "FailedToExtractRuntimeVersion"),
		v(3, "NonDefaultComposite"),
		v(4, "NonZeroRefCount"),
		v(5, "CallFiltered"),
	).param("T", nil)
	weightsPerClassT = composite("frame_system::limits::WeightsPerClass",
		f("base_extrinsic", weightT, "Weight"),
		f("max_extrinsic", option(weightT), "Option<Weight>"),
		f("max_total", option(weightT), "Option<Weight>"),
		f("reserved", option(weightT), "Option<Weight>"))
	weightsPerClassSetT = composite("frame_support::weights::PerDispatchClass",
		f("normal", weightsPerClassT, "T"),
		f("operational", weightsPerClassT, "T"),
		f("mandatory", weightsPerClassT, "T")).
		param("T", weightsPerClassT)
	blockWeightsT = composite("frame_system::limits::BlockWeights",
		f("base_block", weightT, "Weight"),
		f("max_block", weightT, "Weight"),
		f("per_class", weightsPerClassSetT, "PerDispatchClass<WeightsPerClass>"))
	u32PerClassT = composite("frame_support::weights::PerDispatchClass",
		f("normal", u32T, "T"),
		f("operational", u32T, "T"),
		f("mandatory", u32T, "T")).
		param("T", u32T)
	blockLengthT     = composite("frame_system::limits::BlockLength", f("max", u32PerClassT, "PerDispatchClass<u32>"))
	runtimeDbWeightT = composite("frame_support::weights::RuntimeDbWeight", f("read", u64T, "u64"), f("write", u64T, "u64"))
	apisT            = composite("Cow", f("", seq(tuple(array(8, u8T), u32T)), "")).param("T", seq(tuple(array(8, u8T), u32T)))
	runtimeVersionT  = composite("sp_version::RuntimeVersion",
		f("spec_name", strT, "RuntimeString"),
		f("impl_name", strT, "RuntimeString"),
		f("authoring_version", u32T, "u32"),
		f("spec_version", u32T, "u32"),
		f("impl_version", u32T, "u32"),
		f("apis", apisT, "ApisVec"),
		f("transaction_version", u32T, "u32"),
		f("state_version", u8T, "u8"))
)
