"""Knowledge distillation: terms of the loss that compare a student with its teacher."""
