import Datasets
import Environments
import Experiments
import Training

// Runs of one kind from their parts, as tests need them: commands start them by a plan.

extension Run where E == ComparisonExperiment {
    convenience init(_ comparison: Comparison, _ images: ClassificationImages, _ folder: RunFolder) {
        self.init(ComparisonExperiment(comparison, images), in: folder)
    }

    static func resume(_ comparison: Comparison, _ images: ClassificationImages, at path: String) throws -> ComparisonTraining {
        try resume(ComparisonExperiment(comparison, images), at: path)
    }
}

extension Run {
    convenience init<Settings>(_ experiment: GenerativeExperiment<Settings>, _ images: GenerativeImages, _ folder: RunFolder)
    where E == GenerativeTrainingExperiment<Settings> {
        self.init(GenerativeTrainingExperiment(experiment, images), in: folder)
    }

    static func resume<Settings>(_ experiment: GenerativeExperiment<Settings>, _ images: GenerativeImages, at path: String) throws -> Run
    where E == GenerativeTrainingExperiment<Settings> {
        try resume(GenerativeTrainingExperiment(experiment, images), at: path)
    }
}

extension Run where E == DQNTrainingExperiment {
    convenience init(_ experiment: DQNExperiment, _ resources: DQNResources, _ folder: RunFolder, savesReplay: Bool) {
        self.init(DQNTrainingExperiment(experiment, resources, savesReplay: savesReplay), in: folder)
    }

    static func resume(
        _ experiment: DQNExperiment, _ resources: DQNResources, at path: String, savesReplay: Bool, forgetsReplay: Bool = false
    ) throws -> DQNTraining {
        try resume(
            DQNTrainingExperiment(experiment, resources, savesReplay: savesReplay, resuming: path, forgetsReplay: forgetsReplay), at: path)
    }
}
